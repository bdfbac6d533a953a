"""A tiny rendering, checked from outside: by the reader of the published files and by its own geometry."""

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data_prep.synthetic.kitchen.scenes_writer import render_kitchen
from PIL import Image
from scipy.io import loadmat
from scipy.spatial import cKDTree

from data_prep.common.boxes import iou
from data_prep.common.settings import settings_from
from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.calibration_file import read_calibration
from data_prep.kitchen.gmu.camera import back_project
from data_prep.kitchen.gmu.reader import (
    check_root,
    object_files,
    read_boxes,
    read_poses,
    read_scene,
    trailing_number,
)
from data_prep.kitchen.object_models import projected_box, read_object


def settings(**values):
    return settings_from("generate/gmu_kitchens", values, "render settings")


TINY = settings(
    n_scenes=3,
    frames_per_scene=5,
    empty_per_scene=1,
    unannotated_per_scene=1,
    width=320,
    height=180,
    clutter_per_scene=10,
)
SCENES = (1, 2, 3)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("kitchens")
    render_kitchen(root, TINY)
    return root


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_layout_is_the_published_one(root):
    expected = {str(layout.calibration_path("")), *(str(layout.pose_path("", s)) for s in SCENES)}
    expected |= {str(layout.boxes_path("", s)) for s in SCENES}
    for scene in SCENES:
        images = sorted(layout.images_folder(root, scene).iterdir())
        numbers = [trailing_number(path.name) for path in images]
        assert len(numbers) == TINY.frames_per_scene
        expected |= {str(layout.image_path("", scene, n)) for n in numbers}
        expected |= {str(layout.depth_path("", scene, n)) for n in numbers}
        annotated = {trailing_number(path.name) for path in layout.annotations_folder(root, scene).iterdir()}
        assert annotated < set(numbers)
        expected |= {str(layout.annotation_path("", scene, n)) for n in annotated}
        clouds = object_files(root, scene)
        assert len(clouds) == TINY.products_per_scene
        expected |= {str(path.relative_to(root)) for path in clouds}
    assert set(digests(root)) == expected


def test_images_have_the_published_formats(root):
    for scene in SCENES:
        for path in layout.images_folder(root, scene).iterdir():
            with Image.open(path) as image:
                assert (image.mode, image.size) == ("RGB", (320, 180))
        for path in layout.depths_folder(root, scene).iterdir():
            with Image.open(path) as image:
                assert (image.mode, image.size) == ("I;16", (320, 180))
                depth = np.asarray(image)
            assert 0.5 < (depth > 0).mean() < 1  # holes, but not everywhere
            assert depth[depth > 0].min() >= 500
            assert depth.max() <= 4500


def test_reader_takes_it_without_a_problem(root):
    check_root(root, SCENES)
    for number in SCENES:
        scene = read_scene(root, number)
        assert scene.problems == ()
        assert (scene.n_images, scene.n_unannotated, scene.n_empty) == (5, 1, 1)
        assert len(scene.frames) == 3
        for frame in scene.frames:
            assert frame.annotation.size == (320, 180)
            for annotated in frame.annotation.boxes:
                assert 0 <= annotated.box.left < annotated.box.right <= 320
                assert 0 <= annotated.box.top < annotated.box.bottom <= 180


def test_products_are_annotated_and_only_scene_3_names_clutter(root):
    for number in SCENES:
        names = {box.name for frame in read_scene(root, number).frames for box in frame.annotation.boxes}
        assert len(names & set(layout.INSTANCES)) >= 8
        assert bool(names - set(layout.INSTANCES)) == (number == 3)


def test_quirks_of_the_published_files(root):
    first_fields = {s: "index" in loadmat(layout.pose_path(root, s))["frames"].dtype.names for s in SCENES}
    assert first_fields == {1: True, 2: False, 3: True}
    for scene, suffix in ((1, ""), (2, ".png")):
        path = next(layout.annotations_folder(root, scene).iterdir())
        assert f"<filename>{path.stem}{suffix}</filename>" in path.read_text()


def test_frame_numbers_have_gaps_and_poses_are_in_their_order(root):
    gaps = []
    for scene in SCENES:
        poses = read_poses(layout.pose_path(root, scene))
        assert list(poses) == sorted(poses)
        assert all(np.isclose(np.linalg.det(pose.rotation), 1) for pose in poses.values())
        gaps += np.diff(list(poses)).tolist()
    assert min(gaps) >= 1
    assert max(gaps) > 1


def test_matlab_boxes_are_those_of_the_annotations(root):
    for number in SCENES:
        order = list(read_poses(layout.pose_path(root, number)))
        boxes = read_boxes(layout.boxes_path(root, number), [order])
        for frame in read_scene(root, number).frames:
            named = [(box.name, box.box) for box in frame.annotation.boxes]
            assert [(box.name, box.box) for box in boxes[frame.number].boxes] == named


def views_of_products(root):
    """Scene number, frame, annotated product and its number, whatever is fully visible."""
    for number in SCENES:
        for frame in read_scene(root, number).frames:
            for annotated in frame.annotation.boxes:
                whole = not (annotated.truncated or annotated.difficult)
                if whole and annotated.name in layout.INSTANCES:
                    yield number, frame, annotated, layout.INSTANCES.index(annotated.name) + 1


def test_point_clouds_project_into_the_boxes(root):
    calibration = read_calibration(layout.calibration_path(root))
    overlaps = []
    for scene, frame, annotated, number in views_of_products(root):
        model = read_object(layout.object_path(root, scene, number), 1000)
        overlaps.append(iou(projected_box(model, frame.pose, calibration), annotated.box))
    assert len(overlaps) > 40
    assert np.median(overlaps) > 0.8  # the others are partly hidden


def test_depth_lands_on_the_point_clouds(root):
    calibration = read_calibration(layout.calibration_path(root))
    errors = []
    for scene, frame, annotated, number in views_of_products(root):
        box, scale = annotated.box, layout.DEPTH_SCALES[scene]
        pixel = np.array([[int((box.left + box.right) / 2), int((box.top + box.bottom) / 2)]])
        with Image.open(frame.depth) as image:
            metres = np.asarray(image)[pixel[0, 1], pixel[0, 0]] / 1000
        if metres > 0:
            point = back_project(pixel, np.array([metres]), scale, frame.pose, calibration)
            cloud = read_object(layout.object_path(root, scene, number), 4000).surface
            errors.append(cKDTree(cloud).query(point)[0][0] / abs(scale))
    assert len(errors) > 40
    assert np.median(errors) < 0.006  # metres: sensor noise and the spacing of the points


def test_same_bytes_again_with_two_workers_and_others_with_another_seed(root, tmp_path):
    (tmp_path / "again").mkdir()
    render_kitchen(tmp_path / "again", TINY, workers=2)
    assert digests(tmp_path / "again") == digests(root)
    small = {"n_scenes": 1, "frames_per_scene": 2, "unannotated_per_scene": 0, "width": 64, "height": 36}
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        render_kitchen(tmp_path / str(seed), settings(**small, seed=seed))
    first, second = (digests(tmp_path / str(seed)) for seed in (1, 2))
    assert first[str(layout.boxes_path("", 1))] != second[str(layout.boxes_path("", 1))]


def test_killed_rendering_leaves_no_root_and_the_next_one_cleans_up(tmp_path):
    root, partial = tmp_path / "kitchens", tmp_path / ".kitchens.partial"
    command = [sys.executable, "-m", "data_prep", "generate", "--preset", "demo", "--source", "gmu_kitchens"]
    command += ["--out", str(root)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not any(partial.rglob("rgb_*.png")):
            assert process.poll() is None, "ended before its first frame"
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert partial.exists()
    assert not root.exists()
    one_frame = ["n_scenes=1", "frames_per_scene=1", "empty_per_scene=0", "unannotated_per_scene=0"]
    subprocess.run([*command, *one_frame], check=True, capture_output=True)
    assert layout.scene_folder(root, 1).is_dir()
    assert not partial.exists()
