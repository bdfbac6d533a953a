import numpy as np
import pytest
import toy_kitchen as toy
from scipy.io import savemat

from cld.runtime.errors import InputError
from data_prep.common.boxes import Box
from data_prep.common.voc_annotation import AnnotatedBox, Annotation, read_annotation
from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.camera import read_calibration
from data_prep.kitchen.gmu.pose_file import read_poses, trailing_number
from data_prep.kitchen.gmu.reader import object_files, read_scene

# Poses


@pytest.mark.parametrize(
    "fields",
    [
        ("unused", "intrinsics", "Rw2c", "Tw2c", "imgName"),
        ("intrinsics", "Rw2c", "Tw2c", "imgName"),  # some scenes lack the first field
        ("a", "b", "c", "d", "e"),  # told by shape
        ("b", "c", "d", "e"),
    ],
)
@pytest.mark.parametrize("frames", [toy.FRAMES, (7,)])
def test_poses_are_found_by_name_or_shape(tmp_path, fields, frames):
    toy.write_poses(tmp_path / "poses.mat", 1, frames, fields)
    poses = read_poses(tmp_path / "poses.mat")
    assert list(poses) == list(frames)
    for number, pose in poses.items():
        rotation, translation = toy.pose(1, number)
        np.testing.assert_allclose(pose.rotation, rotation)
        np.testing.assert_allclose(pose.translation, translation)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("rgb_12.png", 12),
        ("rgb_12", 12),
        ("gmu_scene_001/Images/rgb_12.png", 12),
        ("C:\\kitchen\\2\\rgb_12.PNG", 12),
        (" rgb_12.png ", 12),
        ("", None),
        ("scene_3/rgb.png", None),
    ],
)
def test_image_names_come_with_and_without_folder_and_extension(name, number):
    assert trailing_number(name) == number


def test_an_entry_that_is_no_rotation_has_no_pose(tmp_path):
    frames = np.empty((1, 3), dtype=[("Rw2c", object), ("Tw2c", object), ("imgName", object)])
    frames[0, 0] = (np.zeros((3, 3)), np.zeros((1, 3)), "rgb_1.png")
    frames[0, 1] = (np.zeros((0, 0)), np.zeros((1, 3)), "rgb_2.png")
    frames[0, 2] = (np.eye(3), np.full((1, 3), np.nan), "rgb_3.png")
    savemat(tmp_path / "poses.mat", {"frames": frames})
    assert read_poses(tmp_path / "poses.mat") == {1: None, 2: None, 3: None}


@pytest.mark.parametrize("cut", [0, 64, 500, -7])
def test_a_broken_mat_is_an_input_error(tmp_path, cut):
    path = tmp_path / "poses.mat"
    toy.write_poses(path, scene=1)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"poses\.mat: not readable as a MATLAB file"):
        read_poses(path)


def test_a_missing_mat_and_one_without_frames_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_poses(tmp_path / "none.mat")
    for name in ("poses", "frames"):
        savemat(tmp_path / "other.mat", {name: 1})
        with pytest.raises(InputError, match="'frames' names no frame"):
            read_poses(tmp_path / "other.mat")


# Pascal VOC


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", (False, False)),
        ("<truncated>1</truncated><difficult>0</difficult>", (True, False)),
        ("<difficult> 1 </difficult><truncated>Unspecified</truncated>", (False, True)),
        ("<truncated>True</truncated><difficult/>", (True, False)),
    ],
)
def test_annotations_may_have_floats_and_flags(tmp_path, flags, expected):
    sides = ("1.0", "2.25", " 10.5 ", "2e1")
    toy.write_voc(tmp_path / "rgb_1.xml", [("red_bull", sides)], size=("320.0", "240"), flags=flags)
    boxes = (AnnotatedBox("red_bull", Box(0, 1.25, 10.5, 20), *expected),)
    assert read_annotation(tmp_path / "rgb_1.xml") == Annotation((320, 240), boxes)
    for size in ("", "<size><width>0</width><height>0</height><depth>3</depth></size>"):
        (tmp_path / "rgb_1.xml").write_text(f"<annotation><filename>rgb_1.png</filename>{size}</annotation>")
        assert read_annotation(tmp_path / "rgb_1.xml") == Annotation(None, ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><object>", "not readable as XML"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "not readable as XML"),
        ("<html/>", "its root is <html>"),
        ("<annotation><object><name> </name></object></annotation>", "an object without a name"),
        ("<annotation><object><name>a</name></object></annotation>", "<bndbox/xmin> is None, not a number"),
    ],
)
def test_broken_annotations_are_input_errors(tmp_path, content, message):
    (tmp_path / "rgb_1.xml").write_text(content)
    with pytest.raises(InputError, match=rf"rgb_1\.xml: {message}"):
        read_annotation(tmp_path / "rgb_1.xml")


# Scenes


def test_a_scene_is_read_in_the_frames_order(kitchen):
    scene = read_scene(kitchen, 1)
    assert [frame.number for frame in scene.frames] == list(toy.FRAMES)
    assert (scene.n_images, scene.n_unannotated, scene.n_empty) == (12, 1, 1)
    assert scene.problems == []
    frame = scene.frames[-1]
    assert frame.image == layout.image_path(kitchen, 1, 100)
    assert frame.depth == layout.depth_path(kitchen, 1, 100)
    np.testing.assert_allclose(frame.pose.rotation, toy.pose(1, 100)[0])
    assert [box.name for box in frame.annotation.boxes] == list(toy.OBJECTS)
    for name in ("object11.ply", "object2.ply", "readme.txt"):
        (layout.objects_folder(kitchen, 1) / name).touch()
    names = [path.name for path in object_files(kitchen, 1)]
    assert names == ["object2.ply", "object4.ply", "object7.ply", "object11.ply"]
    assert object_files(kitchen, 9) == []


# Calibration

MATRIX = "[ 1047.76, 0., 959.26, 0., 1051.17, 529.11, 0., 0., 1. ]"


@pytest.mark.parametrize(
    "text",
    [
        "fx: 1047.76\nfy: 1051.17\ncx: 959.26\ncy: 529.11\n",
        "%YAML:1.0\n---\ncolour:\n  fx_rgb: 1047.76\n  fy_rgb: 1051.17\n  cx_rgb: 959.26\n  cy_rgb: 529.11\n",
        "%YAML:1.0\nfx: 1047.76\nfy: 1051.17\ncx: 959.26\ncy: 529.11\n",
        "%YAML:1.0\n---\ndistortion: !!opencv-matrix\n   rows: 1\n   cols: 2\n   dt: d\n   data: [ 0., 0. ]\n"
        f"cameraMatrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n   data: {MATRIX}\n",
        "rgb_intrinsics: [[1047.76, 0, 959.26], [0, 1051.17, 529.11], [0, 0, 1]]\n",
    ],
)
def test_calibration_formats(tmp_path, text):
    (tmp_path / "calib.yaml").write_text(text)
    camera = read_calibration(tmp_path / "calib.yaml")
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (1047.76, 1051.17, 959.26, 529.11)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fx: 1\nfy: 2\n", "neither the keys"),
        ("", "neither the keys"),
        ("cameraMatrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   data: [ 1 ]\n", "neither the keys"),
        (None, "fetch it again, or write the published values: fx: 1047.76"),
    ],
)
def test_broken_calibrations_are_input_errors(tmp_path, text, message):
    if text is not None:
        (tmp_path / "calib.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"calib\.yaml: .*{message}"):
        read_calibration(tmp_path / "calib.yaml")
