"""A tiny rendering, checked from outside: by the reader of the published files and by its own geometry."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat
from scipy.spatial import cKDTree
from toy_kitchen import back_project

from data_prep.common.boxes import iou
from data_prep.common.settings import settings_from
from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.camera import read_calibration
from data_prep.kitchen.gmu.reader import check_root, object_files, read_poses, read_scene
from data_prep.kitchen.object_models import projected_box, read_object
from data_prep.synthetic.generate_command import MARKER
from data_prep.synthetic.kitchen.render import render_kitchens

pytestmark = pytest.mark.slow

N_FRAMES, WIDTH, HEIGHT = 6, 320, 180
SCENES = (1, 2, 3)


def rendered(root: Path, workers: int, **changes: int) -> Path:
    values = {"n_scenes": 3, "frames_per_scene": N_FRAMES, "width": WIDTH, "height": HEIGHT}
    root.mkdir()
    render_kitchens(root, settings_from("generate/gmu_kitchens", values | changes, "test"), workers)
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return rendered(tmp_path_factory.mktemp("kitchens") / "root", workers=1)


def contents(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_layout_is_the_published_one_and_its_reader_meets_no_problem(root):
    check_root(root, SCENES)
    expected = {layout.calibration_path(root)}
    gaps = []
    for number in SCENES:
        poses = read_poses(layout.pose_path(root, number))
        assert len(poses) == N_FRAMES
        assert list(poses) == sorted(poses)
        gaps += np.diff(list(poses)).tolist()
        clouds = object_files(root, number)
        assert len(clouds) == 10
        expected |= {layout.pose_path(root, number), *clouds}
        expected |= {layout.image_path(root, number, frame) for frame in poses}
        expected |= {layout.depth_path(root, number, frame) for frame in poses}
        expected |= set(layout.annotations_folder(root, number).iterdir())

        scene = read_scene(root, number)
        assert not scene.problems
        assert (scene.n_images, scene.n_unannotated, scene.n_empty) == (N_FRAMES, 2, 1)
        names = {box.name for frame in scene.frames for box in frame.annotation.boxes}
        assert len(names & set(layout.INSTANCES)) >= 8
        assert bool(names - set(layout.INSTANCES)) == (number == 3)  # of the other packages
        for frame in scene.frames:
            assert frame.annotation.size == (WIDTH, HEIGHT)
            with Image.open(frame.image) as image:
                assert (image.mode, image.size) == ("RGB", (WIDTH, HEIGHT))
            with Image.open(frame.depth) as image:
                assert (image.mode, image.size) == ("I;16", (WIDTH, HEIGHT))
                depth = np.asarray(image)
            assert 0.5 < (depth > 0).mean() < 1  # holes, but not everywhere
            assert 500 <= depth[depth > 0].min() <= depth.max() <= 4500
            for annotated in frame.annotation.boxes:
                assert 0 <= annotated.box.left < annotated.box.right <= WIDTH
                assert 0 <= annotated.box.top < annotated.box.bottom <= HEIGHT
    assert {path for path in root.rglob("*") if path.is_file()} == expected
    assert 1 == min(gaps) < max(gaps)


def test_files_differ_between_scenes_as_the_published_ones_do(root):
    first_fields = {s: "index" in loadmat(layout.pose_path(root, s))["frames"].dtype.names for s in SCENES}
    assert first_fields == {1: True, 2: False, 3: True}
    for scene, suffix in ((1, ""), (2, ".png")):
        path = next(layout.annotations_folder(root, scene).iterdir())
        assert f"<filename>{path.stem}{suffix}</filename>" in path.read_text()


def test_point_clouds_meet_the_boxes_and_the_depth(root):
    calibration = read_calibration(layout.calibration_path(root))
    overlaps, errors = [], []
    for scene in SCENES:
        scale, clouds = layout.DEPTH_SCALES[scene], {}
        for frame in read_scene(root, scene).frames:
            depth = np.asarray(Image.open(frame.depth)) / 1000
            for annotated in frame.annotation.boxes:
                if annotated.truncated or annotated.difficult or annotated.name not in layout.INSTANCES:
                    continue
                path = layout.object_path(root, scene, layout.INSTANCES.index(annotated.name) + 1)
                if path not in clouds:
                    clouds[path] = read_object(path, 4000)
                cloud, box = clouds[path], annotated.box
                overlaps.append(iou(projected_box(cloud, frame.pose, calibration), box))
                pixel = np.array([[int((box.left + box.right) / 2), int((box.top + box.bottom) / 2)]])
                metres = depth[pixel[0, 1], pixel[0, 0]]
                if metres > 0:
                    point = back_project(pixel, np.array([metres]), scale, frame.pose, calibration)
                    errors.append(cKDTree(cloud.surface).query(point)[0][0] / abs(scale))
    assert len(overlaps) > 40
    assert len(errors) > 40
    assert np.median(overlaps) > 0.8  # the others are partly hidden
    assert np.median(errors) < 0.006  # metres: sensor noise and the spacing of the points


def test_same_bytes_with_two_workers_and_others_with_another_seed(tmp_path):
    tiny = {"n_scenes": 2, "frames_per_scene": 4, "width": 64, "height": 36}
    first = contents(rendered(tmp_path / "first", 1, **tiny))
    assert contents(rendered(tmp_path / "again", 2, **tiny)) == first
    other = contents(rendered(tmp_path / "other", 1, **tiny, seed=1))
    poses = layout.pose_path(Path(), 1)
    assert first[poses] != other[poses]


def test_killed_rendering_leaves_no_root_and_the_next_one_cleans_up(tmp_path):
    root, partial = tmp_path / "kitchens", tmp_path / ".kitchens.partial"
    command = [sys.executable, "-m", "data_prep", "generate", "--preset", "demo", "--source", "gmu_kitchens"]
    command += ["--out", str(root), "width=64", "height=36"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not any(partial.rglob("rgb_*.png")):
        assert process.poll() is None, "ended before its first frame"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert partial.exists()
    assert not root.exists()
    subprocess.run([*command, "n_scenes=1", "frames_per_scene=4"], check=True, capture_output=True)
    marker = json.loads((root / MARKER).read_text())
    assert (marker["format"], marker["settings"]["width"]) == ("gmu_kitchens", 64)
    assert layout.images_folder(root, 1).is_dir()
    assert not partial.exists()
