import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import toy_kitchen as toy
from build_outputs import facts, manifest
from PIL import Image

from cld.data import read_split
from cld.runtime.errors import InputError
from data_prep.kitchen.build_from_scenes import build_from_scenes
from data_prep.kitchen.gmu import layout

pytestmark = pytest.mark.slow


def rewrite_boxes(kitchen, scene, frame, boxes, **options):
    toy.write_voc(layout.annotation_path(kitchen, scene, frame), boxes, **options)


# What a build holds


def test_counts_splits_order_and_report(toy_kitchen, toy_settings, target):
    info = build_from_scenes(toy_kitchen, toy_settings(), workers=1, target=target)
    assert info.classes == [toy.COLA, toy.BULL]
    assert (info.dataset, info.preset, info.image_size) == ("kitchen_hc", "demo", 16)
    assert info.sizes == {"train": 32, "val": 8, "test": 20}  # 2 objects in 10 frames of 3 scenes
    assert info.sources["root"] == "GMU_Kitchens"
    # images, depths, annotations with the empty frames', then poses and objects by scene, and the calibration
    assert info.sources["files"] == 3 * (10 + 10 + 11 + 1 + 2) + 1
    assert info.config["test_scenes"] == [2]
    rows = manifest(target)
    for split, size in info.sizes.items():
        own = [row for row in rows if row["split"] == split]
        assert [int(row["row"]) for row in own] == list(range(size))
        assert [int(row["label"]) for row in own] == read_split(target.store, split).labels.tolist()
        assert [info.classes[int(row["label"])] for row in own] == [row["class"] for row in own]
    assert {row["scene"] for row in rows if row["split"] == "test"} == {"2"}
    for scene in "13":
        validates = {int(row["frame"]) for row in rows if (row["split"], row["scene"]) == ("val", scene)}
        assert validates == {8, 12}  # contiguous, in the middle of 3 4 5 7 8 12 13 20 21 100

    report = facts(target)
    assert report["status"] == "built"
    assert report["counts"]["splits"] == info.sizes
    assert report["counts"]["classes"][toy.BULL] == {"train": 16, "val": 4, "test": 10}
    assert report["counts"]["expected"] == {"train": 20_800, "val": 4_000, "test": 14_400}
    assert report["details"]["Scenes"][0] == {
        **{"scene": 1, "images": 12, "without annotation": 1, "without objects": 1, "bad when listed": 0},
        **{"train frames": 8, "val frames": 2, "test frames": 0},
    }
    found = {(row["scene"], row["file"], row["class"]) for row in report["details"]["Objects"]}
    files = (("object7.ply", toy.COLA), ("object4.ply", toy.BULL))
    assert found == {(scene, *file) for scene in (1, 2, 3) for file in files}
    text = target.report.read_text()
    assert "| red_bull | 16 | 4 | 10 | 30 |" in text
    assert "| supplement | 20800 | 4000 | 14400 | 39200 |" in text


@pytest.mark.parametrize("crop", [{}, {"fit": "square", "context": 0.1}])
def test_every_crop_is_its_box_cut_out_and_measured(toy_kitchen, toy_settings, target, crop):
    build_from_scenes(toy_kitchen, toy_settings(**crop), workers=1, target=target)
    splits = {name: read_split(target.store, name).images for name in ("train", "val", "test")}
    hidden = []
    for row in manifest(target):
        left, top, right, bottom = (float(row[side]) for side in ("left", "top", "right", "bottom"))
        view, block = toy.view(int(row["scene"]), int(row["frame"])), toy.OBJECTS[row["class"]]
        assert (left + 1, top + 1, right, bottom) == view.voc_box(block)
        if crop:
            side, x, y = max(right - left, bottom - top) * 1.2, (left + right) / 2, (top + bottom) / 2
            left, top, right, bottom = x - side / 2, y - side / 2, x + side / 2, y + side / 2
        image = Image.open(toy_kitchen / row["image"])
        expected = image.resize((16, 16), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
        np.testing.assert_array_equal(splits[row["split"]][int(row["row"])], np.asarray(expected))
        assert float(row["distance_m"]) == pytest.approx(view.distance(block), rel=0.02)
        assert float(row["visible_fraction"]) == pytest.approx(view.visible_fraction(block), abs=0.1)
        assert float(row["iou_3d"]) > 0.9
        if row["scene"] == "3" and row["class"] == toy.BULL:
            hidden.append(float(row["visible_fraction"]))
    assert max(hidden) < 0.8  # the occluder of scene 3


def test_the_result_does_not_depend_on_workers_or_the_roots_place(kitchen, toy_settings, target, tmp_path):
    rewrite_boxes(kitchen, 1, 3, [(toy.COLA, (900, 1, 950, 20)), (toy.BULL, (1, 1, 30, 30))])
    layout.image_path(kitchen, 1, 4).write_bytes(b"no image")
    layout.annotation_path(kitchen, 1, 5).write_bytes(b"no XML")
    (layout.objects_folder(kitchen, 1) / "object4.ply").write_bytes(b"no points")
    (tmp_path / "elsewhere").mkdir()

    def build(root, workers):
        info = build_from_scenes(root, toy_settings(max_bad_share=0.2), workers=workers, target=target)
        report = target.report
        paths = (target.store, target.manifest, report, report.with_suffix(".json"))
        return info, [path.read_bytes() for path in paths]

    info, contents = build(kitchen, workers=1)
    moved = shutil.move(kitchen, tmp_path / "elsewhere" / kitchen.name)
    assert build(moved, workers=2) == (info, contents)

    depth = layout.depth_path(moved, 3, 3)
    array = np.array(Image.open(depth))
    array[0, 0] += 1
    Image.fromarray(array).save(depth)
    other, _ = build(moved, workers=1)
    assert other.sources["sha256"] != info.sources["sha256"]  # of the files' content
    assert other.checksum == info.checksum


def test_without_geometry_depth_and_poses_are_not_needed(kitchen, toy_settings, target):
    for scene in toy.SCALES:
        layout.pose_path(kitchen, scene).unlink()
        layout.depth_path(kitchen, scene, 3).write_bytes(b"")
    layout.calibration_path(kitchen).unlink()
    info = build_from_scenes(kitchen, toy_settings(geometry=False, val_share=0), workers=1, target=target)
    assert info.sizes == {"train": 40, "test": 20}
    rows = manifest(target)
    assert {row[name] for row in rows for name in ("distance_m", "visible_fraction", "iou_3d")} == {""}


def test_objects_without_a_readable_model_have_a_distance_and_no_more(kitchen, toy_settings, target):
    (layout.objects_folder(kitchen, 1) / "object4.ply").write_text("ply\n")  # the red bull
    info = build_from_scenes(kitchen, toy_settings(min_iou=0.5, min_visible=0.01), workers=1, target=target)
    assert info.sizes == {"train": 32, "val": 8, "test": 20}  # what is unknown is no reason to drop
    for row in manifest(target):
        unknown = row["scene"] == "1" and row["class"] == toy.BULL
        assert (row["iou_3d"] == "") == (row["visible_fraction"] == "") == unknown
        view = toy.view(int(row["scene"]), int(row["frame"]))
        assert float(row["distance_m"]) == pytest.approx(view.distance(toy.OBJECTS[row["class"]]), rel=0.1)
    notes = " ".join(facts(target)["notes"])
    assert "object4.ply: not a PLY file" in notes
    assert "scene 1 has no 3D object for red_bull" in notes


# Filters and names


def test_filters_names_and_borders(kitchen, toy_settings, target):
    cola, bull = (toy.view(1, 20).voc_box(toy.OBJECTS[name]) for name in (toy.COLA, toy.BULL))
    rewrite_boxes(kitchen, 1, 3, [(toy.BULL, cola)], flags="<difficult>1</difficult>")
    rewrite_boxes(kitchen, 1, 4, [(toy.BULL, cola)], flags="<truncated>1</truncated>")
    rewrite_boxes(kitchen, 1, 5, [(toy.BULL, (-39, 50, 40, 130))])
    rewrite_boxes(kitchen, 1, 7, [(toy.BULL, (100, 100, 108, 160))])
    rewrite_boxes(kitchen, 1, 8, [(toy.BULL, (1, 1, 40, 60))])
    rewrite_boxes(kitchen, 1, 12, [(toy.COLA, (-4, 11, 60, 400))])
    names = [("Coca-Cola", cola), ("redbull", bull)]
    names += [(name, (1, 1, 50, 50)) for name in ("kettle", "hunts_sauce")]
    rewrite_boxes(kitchen, 1, 20, names)

    everything = build_from_scenes(kitchen, toy_settings(min_inside=0), workers=1, target=target)
    assert sum(everything.sizes.values()) == 54
    report = facts(target)
    assert report["clipped"] == 2
    assert report["problems"]["bad"] == 0
    row = next(row for row in manifest(target) if (row["scene"], row["frame"]) == ("1", "12"))
    assert [row[side] for side in ("left", "top", "right", "bottom")] == ["0", "10", "60", "240"]
    assert report["names"]["renamed"] == {
        "Coca-Cola": {"class": toy.COLA, "count": 1},
        "redbull": {"class": toy.BULL, "count": 1},
    }
    assert report["names"]["not_kept"] == {"hunts_sauce": 1}
    assert report["names"]["unknown"] == {"kettle": 1}
    assert "| kettle | unknown, dropped | 1 |" in target.report.read_text()

    filters = {"drop_difficult": True, "drop_truncated": True, "min_inside": 0.53, "min_side_px": 10}
    settings = toy_settings(**filters, min_iou=0.5, min_visible=0.85)
    filtered = build_from_scenes(kitchen, settings, workers=1, target=target)
    assert facts(target)["dropped"] == {
        "mostly hidden": 10,
        "misaligned with its 3D object": 2,
        **dict.fromkeys(("difficult", "truncated", "mostly outside the frame", "too small"), 1),
    }
    assert sum(filtered.sizes.values()) == 54 - 16
    assert "| box too small | 1 |" in target.report.read_text()
    kept = manifest(target)
    assert not {("1", frame) for frame in "34578"} & {(row["scene"], row["frame"]) for row in kept}
    assert ("3", toy.BULL) not in {(row["scene"], row["class"]) for row in kept}


def unknown_names(kitchen):
    for frame in toy.FRAMES[:4]:
        rewrite_boxes(kitchen, 1, frame, [("blender", (1, 1, 50, 50))])


def empty_test_scene(kitchen):
    for frame in toy.FRAMES:
        rewrite_boxes(kitchen, 2, frame, [])


def other_calibration(kitchen):
    published = "".join(f"{key}: {value}\n" for key, value in layout.CALIBRATION.items())
    layout.calibration_path(kitchen).write_text(published)


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (None, {"classes": [toy.COLA, "rad_bull"]}, "class 'rad_bull' names nothing in GMU_.*: red_bull"),
        (None, {"scenes": [1, 2, 3, 4]}, "no folder gmu_scene_004/Images, gmu_scene_004/Annotations; fetch"),
        (unknown_names, {}, r"4 of 56 boxes have unknown names, .*: blender; add each"),
        (empty_test_scene, {}, r"split 'test' is empty.*'test_scenes'"),
        (other_calibration, {}, r"calib_color\.yaml: cx, cy \(959\.261, 529\.115\) .* 320×240 frames"),
        (shutil.rmtree, {}, r"no folder gmu_scene_001/Images, .*; fetch GMU .*data\.paths\.gmu_kitchens"),
    ],
)
@pytest.mark.usefixtures("no_decoding")
def test_bad_input_fails_before_an_image_is_decoded(kitchen, toy_settings, target, spoil, changes, message):
    if spoil:
        spoil(kitchen)
    with pytest.raises(InputError, match=message):
        build_from_scenes(kitchen, toy_settings(**changes), workers=1, target=target)
    assert not target.store.exists()


def test_filters_that_empty_a_split_fail(toy_kitchen, toy_settings, target):
    with pytest.raises(InputError, match=r"no instance is left in split 'train'; loosen .*: 60 too small"):
        build_from_scenes(toy_kitchen, toy_settings(min_side_px=200), workers=1, target=target)
    assert not target.store.exists()


# Bad input


def cut_in_half(path):
    os.truncate(path, path.stat().st_size // 2)


def resize_png(path, mode=None):
    image = Image.open(path)
    (image.resize((100, 80)) if mode is None else image.convert(mode)).save(path)


def test_bad_frames_are_reported_counted_and_skipped(kitchen, toy_settings, target):
    def image(frame):
        return layout.image_path(kitchen, 1, frame)

    def depth(frame):
        return layout.depth_path(kitchen, 3, frame)

    cut_in_half(image(3))
    image(4).write_bytes(b"")
    image(5).write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    image(7).write_text("<html>not found</html>")
    image(8).unlink()
    resize_png(image(12))
    rewrite_boxes(kitchen, 1, 13, [(toy.COLA, (1, 1, 50, 50))], size=(1920, 1080))
    rewrite_boxes(kitchen, 1, 20, [(toy.COLA, (400, 1, 450, 50)), (toy.BULL, (1, 1, 50, 50))])
    rewrite_boxes(kitchen, 1, 21, [(toy.COLA, (50, 50, 20, 60)), (toy.BULL, (1, 1, 50, 50))])
    depth(3).unlink()
    cut_in_half(depth(4))
    resize_png(depth(5), "L")
    resize_png(depth(7))
    cut_in_half(layout.annotation_path(kitchen, 3, 8))
    toy.write_poses(layout.pose_path(kitchen, 2), 2, toy.FRAMES[1:])

    info = build_from_scenes(kitchen, toy_settings(max_bad_share=0.6), workers=1, target=target)
    problems = facts(target)["problems"]
    assert (problems["bad"], problems["total"]) == (15, 30)
    found = {reason: [entry["path"] for entry in entries] for reason, entries in problems["reasons"].items()}
    images, depths = "gmu_scene_001/Images/rgb_{}.png", "gmu_scene_003/Depths/depth_{}.png"
    assert found == {
        "image unreadable": [images.format(frame) for frame in (3, 4, 5, 7)],
        "image missing": [images.format(8)],
        "image size disagrees with its annotation": [images.format(frame) for frame in (12, 13)],
        "box outside the frame": [images.format(20)],
        "box without an area": [images.format(21)],
        "depth missing": [depths.format(3)],
        "depth unreadable": [depths.format(frame) for frame in (4, 5)],
        "depth size disagrees with the image": [depths.format(7)],
        "annotation unreadable": ["gmu_scene_003/Annotations/rgb_8.xml"],
        "pose missing": ["gmu-kitchens_info/scene_pose_info/scene_2_reconstruct_info_frame_sort.mat"],
    }
    assert f"- box without an area: 1\n  - `{images.format(21)}`" in target.report.read_text()
    assert sum(info.sizes.values()) == 60 - 13 * 2 - 2  # a bad box costs no other box of its frame


def test_more_bad_frames_than_allowed_fail_with_a_summary_and_no_store(kitchen, toy_settings, target):
    cut_in_half(layout.image_path(kitchen, 1, 3))
    cut_in_half(layout.image_path(kitchen, 2, 4))
    cut_in_half(layout.depth_path(kitchen, 2, 5))
    with pytest.raises(InputError) as caught:
        build_from_scenes(kitchen, toy_settings(), workers=1, target=target)
    assert str(caught.value).splitlines() == [
        "GMU_Kitchens: 3 of 30 annotated frames are bad (10.0%), more than max_bad_share (2.0%); fix "
        "the files below, or raise max_bad_share",
        "  2 × image unreadable: gmu_scene_001/Images/rgb_3.png, gmu_scene_002/Images/rgb_4.png",
        "  1 × depth unreadable: gmu_scene_002/Depths/depth_5.png",
        f"  every file, and why: {target.report.with_suffix('.json')}",
    ]
    assert not target.store.exists()
    assert not target.manifest.exists()
    assert facts(target)["status"] == "failed"
    assert "No store was written" in target.report.read_text()


def test_a_killed_build_leaves_neither_store_nor_workers(kitchen, target):
    """One image is a pipe that nobody writes to: the build waits in the midst of decoding until killed."""
    pipe = layout.image_path(kitchen, 3, 13)
    pipe.unlink()
    os.mkfifo(pipe)
    options = f"--preset demo --dataset kitchen_hc --root {kitchen} --workers 2 --store {target.store}"
    options += f" --manifest {target.manifest} --report {target.report}"
    overrides = ['classes=["coca_cola_glass_bottle","red_bull"]', "scenes=[1,2,3]", "test_scenes=[2]"]
    command = [sys.executable, "-m", "data_prep", "build", *options.split(), *overrides]
    build = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    writer = None
    while writer is None:
        assert build.poll() is None
        with suppress(OSError):  # until a worker reads
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.02)
    build.kill()
    build.wait()
    os.close(writer)
    with suppress(ProcessLookupError):
        while True:
            os.killpg(build.pid, 0)
            time.sleep(0.02)
    assert not target.store.exists()
