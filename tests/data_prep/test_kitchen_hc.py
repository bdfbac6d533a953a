import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import toy_kitchen as toy
from PIL import Image

from cld.data import read_info, read_split
from cld.runtime.errors import InputError
from data_prep.common import image_files
from data_prep.kitchen.build_from_scenes import build_from_scenes
from data_prep.kitchen.gmu import layout

COMMAND = [sys.executable, "-m", "data_prep", "build"]
SETTINGS = {
    "image_size": 16,
    "classes": [toy.COLA, toy.BULL],
    "scenes": [1, 2, 3],
    "test_scenes": [2],
    "val_share": 0.2,
}


def manifest_rows(target) -> list[dict]:
    with open(target.manifest, newline="") as file:
        return list(csv.DictReader(file))


def facts(target) -> dict:
    return json.loads(target.report.with_suffix(".json").read_text())


def arguments(kitchen, target, workers=1, settings=SETTINGS) -> list[str]:
    """Command-line arguments."""
    paths = [
        ("--root", kitchen),
        *((f"--{name}", getattr(target, name)) for name in ("store", "manifest", "report")),
    ]
    options = [*paths, ("--workers", workers), ("--preset", "demo"), ("--dataset", "kitchen_hc")]
    overrides = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    return [*(str(part) for option in options for part in option), *overrides]


def rewrite_boxes(kitchen, scene, frame, boxes, **options):
    toy.write_voc(layout.annotation_path(kitchen, scene, frame), boxes, **options)


# What a build holds


def test_counts_splits_and_order(kitchen, toy_settings, target):
    info = build_from_scenes(kitchen, toy_settings(), workers=1, target=target)
    assert info.classes == [toy.COLA, toy.BULL]
    assert (info.dataset, info.preset, info.image_size) == ("kitchen_hc", "demo", 16)
    assert info.sizes == {"train": 32, "val": 8, "test": 20}  # 2 objects in 10 frames of 3 scenes
    rows = manifest_rows(target)
    for split, size in info.sizes.items():
        own = [row for row in rows if row["split"] == split]
        assert [int(row["row"]) for row in own] == list(range(size))
        assert [int(row["label"]) for row in own] == read_split(target.store, split).labels.tolist()
        assert [info.classes[int(row["label"])] for row in own] == [row["class"] for row in own]
    assert {row["scene"] for row in rows if row["split"] == "test"} == {"2"}
    for scene in "13":
        validates = {int(row["frame"]) for row in rows if (row["split"], row["scene"]) == ("val", scene)}
        assert validates == {8, 12}  # contiguous, in the middle of 3 4 5 7 8 12 13 20 21 100


@pytest.mark.parametrize("crop", [{}, {"fit": "square", "context": 0.1}])
def test_every_crop_is_its_box_cut_out(kitchen, toy_settings, target, crop):
    build_from_scenes(kitchen, toy_settings(**crop), workers=1, target=target)
    splits = {name: read_split(target.store, name).images for name in ("train", "val", "test")}
    for row in manifest_rows(target):
        left, top, right, bottom = (float(row[side]) for side in ("left", "top", "right", "bottom"))
        voc = toy.view(int(row["scene"]), int(row["frame"])).voc_box(toy.OBJECTS[row["class"]])
        assert (left + 1, top + 1, right, bottom) == voc
        if crop:
            side, x, y = max(right - left, bottom - top) * 1.2, (left + right) / 2, (top + bottom) / 2
            left, top, right, bottom = x - side / 2, y - side / 2, x + side / 2, y + side / 2
        image = Image.open(kitchen / row["image"])
        expected = image.resize((16, 16), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
        np.testing.assert_array_equal(splits[row["split"]][int(row["row"])], np.asarray(expected))


def test_distance_visibility_and_iou_are_those_of_the_scene(kitchen, toy_settings, target):
    build_from_scenes(kitchen, toy_settings(), workers=1, target=target)
    hidden = []
    for row in manifest_rows(target):
        view, block = toy.view(int(row["scene"]), int(row["frame"])), toy.OBJECTS[row["class"]]
        assert float(row["distance_m"]) == pytest.approx(view.distance(block), rel=0.02)
        assert float(row["visible_fraction"]) == pytest.approx(view.visible_fraction(block), abs=0.1)
        assert float(row["iou_3d"]) > 0.9
        if row["scene"] == "3" and row["class"] == toy.BULL:
            hidden.append(float(row["visible_fraction"]))
    assert max(hidden) < 0.8  # the occluder of scene 3


def test_report_has_the_counts_beside_the_supplements(kitchen, toy_settings, target):
    info = build_from_scenes(kitchen, toy_settings(), workers=1, target=target)
    report = facts(target)
    assert report["status"] == "built"
    assert report["counts"]["splits"] == info.sizes
    assert report["counts"]["classes"][toy.BULL] == {"train": 16, "val": 4, "test": 10}
    assert report["counts"]["expected"] == {"train": 20_800, "val": 4_000, "test": 14_400}
    assert report["details"]["Scenes"][0] == {
        "scene": 1,
        "images": 12,
        "without annotation": 1,
        "without objects": 1,
        "bad when listed": 0,
        "train frames": 8,
        "val frames": 2,
        "test frames": 0,
    }
    found = {(row["scene"], row["file"]): row["class"] for row in report["details"]["Objects"]}
    assert found == {
        (scene, file): name
        for scene in (1, 2, 3)
        for file, name in (("object7.ply", toy.COLA), ("object4.ply", toy.BULL))
    }
    text = target.report.read_text()
    assert "| red_bull | 16 | 4 | 10 | 30 |" in text
    assert "| supplement | 20800 | 4000 | 14400 | 39200 |" in text


def test_the_result_does_not_depend_on_workers_or_the_roots_place(kitchen, toy_settings, target, tmp_path):
    rewrite_boxes(kitchen, 1, 3, [(toy.COLA, (900, 1, 950, 20)), (toy.BULL, (1, 1, 30, 30))])
    layout.image_path(kitchen, 1, 4).write_bytes(b"no image")
    layout.annotation_path(kitchen, 1, 5).write_bytes(b"no XML")
    (layout.objects_folder(kitchen, 1) / "object4.ply").write_bytes(b"no points")
    (tmp_path / "elsewhere").mkdir()
    settings = toy_settings(max_bad_share=0.2)

    def build(root, workers):
        build_from_scenes(root, settings, workers=workers, target=target)
        report = target.report
        paths = (target.store, target.manifest, report, report.with_suffix(".json"))
        return [path.read_bytes() for path in paths]

    contents = build(kitchen, workers=1)
    moved = shutil.move(kitchen, tmp_path / "elsewhere" / kitchen.name)
    assert build(moved, workers=2) == contents


def test_provenance_follows_the_content_of_the_files(kitchen, toy_settings, target):
    first = build_from_scenes(kitchen, toy_settings(), workers=1, target=target)
    assert first.sources["root"] == "GMU_Kitchens"
    # images, depths, annotations with the empty frames', then poses and objects by scene, and the calibration
    assert first.sources["files"] == 3 * (10 + 10 + 11 + 1 + 2) + 1
    assert first.config["test_scenes"] == [2]
    depth = layout.depth_path(kitchen, 1, 3)
    array = np.array(Image.open(depth))
    array[0, 0] += 1
    Image.fromarray(array).save(depth)
    second = build_from_scenes(kitchen, toy_settings(), workers=1, target=target)
    assert second.sources["sha256"] != first.sources["sha256"]
    assert second.checksum == first.checksum


def test_without_geometry_depth_and_poses_are_not_needed(kitchen, toy_settings, target):
    for scene in toy.SCALES:
        layout.pose_path(kitchen, scene).unlink()
        layout.depth_path(kitchen, scene, 3).write_bytes(b"")
    layout.calibration_path(kitchen).unlink()
    info = build_from_scenes(kitchen, toy_settings(geometry=False), workers=1, target=target)
    assert info.sizes == {"train": 32, "val": 8, "test": 20}
    rows = manifest_rows(target)
    assert {row[name] for row in rows for name in ("distance_m", "visible_fraction", "iou_3d")} == {""}


def test_no_validation_split_where_none_is_wanted(kitchen, toy_settings, target):
    info = build_from_scenes(kitchen, toy_settings(val_share=0), workers=1, target=target)
    assert info.sizes == {"train": 40, "test": 20}


def test_objects_without_a_readable_model_have_a_distance_and_no_more(kitchen, toy_settings, target):
    (layout.objects_folder(kitchen, 1) / "object4.ply").write_text("ply\n")  # the red bull
    info = build_from_scenes(kitchen, toy_settings(min_iou=0.5, min_visible=0.01), workers=1, target=target)
    assert info.sizes == {"train": 32, "val": 8, "test": 20}  # what is unknown is no reason to drop
    for row in manifest_rows(target):
        unknown = row["scene"] == "1" and row["class"] == toy.BULL
        assert (row["iou_3d"] == "") == (row["visible_fraction"] == "") == unknown
        view = toy.view(int(row["scene"]), int(row["frame"]))
        assert float(row["distance_m"]) == pytest.approx(view.distance(toy.OBJECTS[row["class"]]), rel=0.1)
    notes = " ".join(facts(target)["notes"])
    assert "object4.ply: not a PLY file" in notes
    assert "scene 1 has no 3D object for red_bull" in notes


# Filters


FLAGS = "<truncated>1</truncated><difficult>1</difficult>"


@pytest.mark.parametrize(
    ("changes", "box", "flags", "reason"),
    [
        ({"drop_difficult": True}, None, FLAGS, "difficult"),
        ({"drop_truncated": True}, None, FLAGS, "truncated"),
        ({"min_inside": 0.6}, (-39, 50, 40, 130), "", "mostly outside the frame"),
        ({"min_side_px": 10}, (100, 100, 108, 160), "", "too small"),
        ({"min_iou": 0.5}, (1, 1, 40, 60), "", "misaligned with its 3D object"),
    ],
)
def test_filters_drop_and_count(kitchen, toy_settings, target, changes, box, flags, reason):
    box = box or toy.view(1, 3).voc_box(toy.OBJECTS[toy.BULL])
    rewrite_boxes(kitchen, 1, 3, [(toy.BULL, box)], flags=flags)
    unfiltered = build_from_scenes(kitchen, toy_settings(min_inside=0), workers=1, target=target)
    assert sum(unfiltered.sizes.values()) == 59
    filtered = build_from_scenes(kitchen, toy_settings(**changes), workers=1, target=target)
    assert sum(filtered.sizes.values()) == 58
    assert facts(target)["dropped"] == {reason: 1}
    assert f"| box {reason} | 1 |" in target.report.read_text()
    assert ("1", "3") not in {(row["scene"], row["frame"]) for row in manifest_rows(target)}


def test_mostly_hidden_objects_are_dropped(kitchen, toy_settings, target):
    info = build_from_scenes(kitchen, toy_settings(min_visible=0.85), workers=1, target=target)
    kept = {(row["scene"], row["class"]) for row in manifest_rows(target)}
    assert kept == {(scene, name) for scene in "123" for name in toy.OBJECTS} - {("3", toy.BULL)}
    assert sum(info.sizes.values()) == 50
    assert facts(target)["dropped"] == {"mostly hidden": 10}


def test_boxes_beyond_the_border_are_clipped_and_counted(kitchen, toy_settings, target):
    rewrite_boxes(kitchen, 1, 3, [(toy.COLA, (-4, 11, 60, 400)), (toy.BULL, (200, 100, 250, 200))])
    build_from_scenes(kitchen, toy_settings(), workers=1, target=target)
    row = next(row for row in manifest_rows(target) if (row["scene"], row["frame"]) == ("1", "3"))
    assert [row[side] for side in ("left", "top", "right", "bottom")] == ["0", "10", "60", "240"]
    report = facts(target)
    assert report["clipped"] == 1
    assert report["problems"]["bad"] == 0


# Names


def test_spellings_are_united_and_extra_names_reported(kitchen, toy_settings, target):
    boxes = [(name, toy.view(1, 3).voc_box(block)) for name, block in toy.OBJECTS.items()]
    renamed = [("Coca-Cola", boxes[0][1]), ("redbull", boxes[1][1]), ("kettle", (1, 1, 50, 50))]
    rewrite_boxes(kitchen, 1, 3, [*renamed, ("hunts_sauce", (1, 1, 50, 50))])
    info = build_from_scenes(kitchen, toy_settings(), workers=1, target=target)
    assert sum(info.sizes.values()) == 60
    names = facts(target)["names"]
    assert names["renamed"] == {
        "Coca-Cola": {"class": toy.COLA, "count": 1},
        "redbull": {"class": toy.BULL, "count": 1},
    }
    assert (names["not_kept"], names["unknown"]) == ({"hunts_sauce": 1}, {"kettle": 1})
    assert "| kettle | unknown, dropped | 1 |" in target.report.read_text()


@pytest.fixture
def no_decoding(monkeypatch):
    def fail(path):
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr("data_prep.kitchen.frame_crops.EncodedImage", fail)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classes": [toy.COLA, toy.BULL, "hunts_sauce"]},
            "class 'hunts_sauce' names nothing in GMU_Kitchens",
        ),
        ({"classes": [toy.COLA, "rad_bull"]}, "class 'rad_bull' names nothing in GMU_Kitchens; .*: red_bull"),
        ({"scenes": [1, 2, 3, 4]}, "no folder gmu_scene_004/Images"),
        ({"val_share": 0.01}, "split 'val' is empty"),
    ],
)
@pytest.mark.usefixtures("no_decoding")
def test_bad_settings_fail_before_an_image_is_decoded(kitchen, toy_settings, target, changes, message):
    with pytest.raises(InputError, match=message):
        build_from_scenes(kitchen, toy_settings(**changes), workers=1, target=target)
    assert not target.store.exists()


@pytest.mark.usefixtures("no_decoding")
def test_too_many_unknown_names_fail_before_an_image_is_decoded(kitchen, toy_settings, target):
    for frame in toy.FRAMES[:4]:
        rewrite_boxes(kitchen, 1, frame, [("blender", (1, 1, 50, 50))])
    with pytest.raises(InputError, match=r"4 of 56 boxes have unknown names, .*: blender; add each"):
        build_from_scenes(kitchen, toy_settings(), workers=1, target=target)


@pytest.mark.usefixtures("no_decoding")
def test_a_test_scene_without_objects_fails_before_an_image_is_decoded(kitchen, toy_settings, target):
    for frame in toy.FRAMES:
        rewrite_boxes(kitchen, 2, frame, [])
    with pytest.raises(InputError, match=r"split 'test' is empty.*'test_scenes'"):
        build_from_scenes(kitchen, toy_settings(), workers=1, target=target)


@pytest.mark.usefixtures("no_decoding")
def test_a_missing_root_fails_and_says_what_to_fetch(tmp_path, toy_settings, target):
    with pytest.raises(InputError, match=r"no such folder; fetch GMU Kitchens .*data\.paths\.gmu_kitchens"):
        build_from_scenes(tmp_path / "nowhere", toy_settings(), workers=1, target=target)


def test_filters_that_empty_a_split_fail(kitchen, toy_settings, target):
    with pytest.raises(InputError, match=r"no instance is left in split 'train'; loosen .*: 60 too small"):
        build_from_scenes(kitchen, toy_settings(min_side_px=200), workers=1, target=target)
    assert not target.store.exists()


# Bad input


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resize_png(path, mode=None):
    image = Image.open(path)
    (image.resize((100, 80)) if mode is None else image.convert(mode)).save(path)


SPOILS = {
    "image unreadable": [
        lambda k: cut_in_half(layout.image_path(k, 1, 3)),
        lambda k: layout.image_path(k, 1, 3).write_bytes(b""),
        lambda k: layout.image_path(k, 1, 3).write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 100),
        lambda k: layout.image_path(k, 1, 3).write_text("<html>not found</html>"),
    ],
    "image missing": [lambda k: layout.image_path(k, 1, 3).unlink()],
    "annotation unreadable": [lambda k: cut_in_half(layout.annotation_path(k, 1, 3))],
    "depth missing": [lambda k: layout.depth_path(k, 1, 3).unlink()],
    "depth unreadable": [
        lambda k: cut_in_half(layout.depth_path(k, 1, 3)),
        lambda k: resize_png(layout.depth_path(k, 1, 3), "L"),
    ],
    "depth size disagrees with the image": [lambda k: resize_png(layout.depth_path(k, 1, 3))],
    "image size disagrees with its annotation": [
        lambda k: resize_png(layout.image_path(k, 1, 3)),
        lambda k: rewrite_boxes(k, 1, 3, [(toy.COLA, (1, 1, 50, 50))], size=(1920, 1080)),
    ],
    "pose missing": [
        lambda k: toy.write_poses(layout.pose_path(k, 1), 1, toy.FRAMES[1:]),
    ],
    "box outside the frame": [
        lambda k: rewrite_boxes(k, 1, 3, [(toy.COLA, (400, 1, 450, 50)), (toy.BULL, (1, 1, 50, 50))]),
        lambda k: rewrite_boxes(k, 1, 3, [(toy.COLA, (-90, -90, -10, -10)), (toy.BULL, (1, 1, 50, 50))]),
    ],
    "box without an area": [
        lambda k: rewrite_boxes(k, 1, 3, [(toy.COLA, (50, 50, 20, 60)), (toy.BULL, (1, 1, 50, 50))]),
    ],
}
PATHS = {
    "annotation unreadable": "gmu_scene_001/Annotations/rgb_3.xml",
    "depth missing": "gmu_scene_001/Depths/depth_3.png",
    "depth unreadable": "gmu_scene_001/Depths/depth_3.png",
    "depth size disagrees with the image": "gmu_scene_001/Depths/depth_3.png",
    "pose missing": "gmu-kitchens_info/scene_pose_info/scene_1_reconstruct_info_frame_sort.mat",
}


@pytest.mark.parametrize(
    ("reason", "spoil"), [(reason, spoil) for reason in SPOILS for spoil in SPOILS[reason]]
)
def test_a_bad_frame_is_reported_counted_and_skipped(kitchen, toy_settings, target, reason, spoil):
    spoil(kitchen)
    info = build_from_scenes(kitchen, toy_settings(max_bad_share=0.05), workers=1, target=target)
    problems = facts(target)["problems"]
    assert (problems["bad"], problems["total"]) == (1, 30)
    path = PATHS.get(reason, "gmu_scene_001/Images/rgb_3.png")
    assert {name: [entry["path"] for entry in entries] for name, entries in problems["reasons"].items()} == {
        reason: [path]
    }
    assert f"- {reason}: 1\n  - `{path}`" in target.report.read_text()
    kept = 59 if reason.startswith("box") else 58  # one box, or the frame with its two
    assert sum(info.sizes.values()) == kept


def test_more_bad_frames_than_allowed_fail_with_a_summary_and_no_store(kitchen, toy_settings, target):
    cut_in_half(layout.image_path(kitchen, 1, 3))
    cut_in_half(layout.image_path(kitchen, 2, 4))
    cut_in_half(layout.depth_path(kitchen, 2, 5))
    with pytest.raises(InputError) as error:
        build_from_scenes(kitchen, toy_settings(max_bad_share=0.05), workers=1, target=target)
    assert str(error.value).splitlines() == [
        "GMU_Kitchens: 3 of 30 annotated frames are bad (10.0%), more than max_bad_share (5.0%); fix the "
        "files below, or raise max_bad_share",
        "  2 × image unreadable: gmu_scene_001/Images/rgb_3.png, gmu_scene_002/Images/rgb_4.png",
        "  1 × depth unreadable: gmu_scene_002/Depths/depth_5.png",
        f"  every file: {target.report}",
    ]
    assert not target.store.exists()
    assert not target.manifest.exists()
    assert facts(target)["status"] == "failed"
    assert "No store was written" in target.report.read_text()


@pytest.mark.usefixtures("no_decoding")
def test_a_broken_pose_file_fails_before_an_image_is_decoded(kitchen, toy_settings, target):
    cut_in_half(layout.pose_path(kitchen, 2))
    with pytest.raises(
        InputError, match=r"10 of 30 annotated frames are bad .*\n  10 × pose file unreadable: "
    ):
        build_from_scenes(kitchen, toy_settings(), workers=1, target=target)


def test_a_missing_calibration_fails_with_the_published_values(kitchen, toy_settings, target):
    layout.calibration_path(kitchen).unlink()
    with pytest.raises(InputError, match=r"calib_color\.yaml: .*fx: 1047\.76"):
        build_from_scenes(kitchen, toy_settings(), workers=1, target=target)


@pytest.mark.usefixtures("no_decoding")
def test_a_calibration_of_other_frames_fails(kitchen, toy_settings, target):
    published = "".join(f"{key}: {value}\n" for key, value in layout.CALIBRATION.items())
    layout.calibration_path(kitchen).write_text(published)
    with pytest.raises(
        InputError, match=r"calib_color\.yaml: cx, cy \(959\.261, 529\.115\) .* 320×240 frames"
    ):
        build_from_scenes(kitchen, toy_settings(), workers=1, target=target)


# The command


def test_bad_input_in_worker_processes_ends_without_a_traceback(kitchen, target):
    for frame in toy.FRAMES[:5]:
        cut_in_half(layout.image_path(kitchen, 1, frame))
    command = COMMAND + arguments(kitchen, target, workers=2)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "error: GMU_Kitchens: 5 of 30 annotated frames are bad" in done.stderr
    assert "Traceback" not in done.stderr
    assert not target.store.exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("min_side", "an override is written key=value"),
        ("min_side_p=9", "unknown key 'min_side_p'; did you mean 'min_side_px'?"),
        ("min_side_px=wide", "min_side_px: 'wide' is not of type 'number'"),
    ],
)
def test_bad_settings_on_the_command_line(kitchen, target, monkeypatch, override, message):
    from data_prep.kitchen.build_from_scenes import main

    monkeypatch.setattr(sys, "argv", ["kitchen_hc", *arguments(kitchen, target), override])
    with pytest.raises(InputError, match=message):
        main()


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def group_is_gone(group) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_killed_build_leaves_neither_store_nor_workers(kitchen, target):
    """One image is a pipe that nobody writes to: the build waits in the midst of decoding until killed."""
    pipe = layout.image_path(kitchen, 3, 13)
    pipe.unlink()
    os.mkfifo(pipe)
    command = COMMAND + arguments(kitchen, target, workers=2)
    build = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)

    def worker_reads():
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # no reader yet
            return None

    writer = wait_for(worker_reads)
    build.kill()
    build.wait()
    os.close(writer)
    wait_for(lambda: group_is_gone(build.pid))
    assert not target.store.exists()


WRITE_SLOWLY = """
import sys, time, h5py
from cld.runtime.errors import run_command
from data_prep.kitchen.build_from_scenes import main
create = h5py.File.create_dataset
def create_and_wait(*args, **kwargs):
    create(*args, **kwargs)
    print("writing", flush=True)
    time.sleep(600)
h5py.File.create_dataset = create_and_wait
run_command(main)
"""


def test_a_build_killed_while_it_writes_leaves_the_old_store(kitchen, toy_settings, target):
    first = build_from_scenes(kitchen, toy_settings(), workers=1, target=target)
    command = [
        sys.executable,
        "-c",
        WRITE_SLOWLY,
        *arguments(kitchen, target, settings=SETTINGS | {"image_size": 8}),
    ]
    build = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert build.stdout.readline() == b"writing\n"
    build.send_signal(signal.SIGKILL)
    build.wait()
    build.stdout.close()
    assert read_info(target.store) == first
    again = build_from_scenes(kitchen, toy_settings(image_size=8), workers=1, target=target)
    assert again.image_size == 8


def test_digest_of_a_file(tmp_path):
    path = tmp_path / "a" / "b.txt"
    path.parent.mkdir()
    path.write_bytes(b"abc")
    expected = ("a/b.txt", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    assert image_files.digest(path, tmp_path) == image_files.digest(path, tmp_path, b"abc") == expected
