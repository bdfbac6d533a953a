"""Writers of the kitchen dataset's files, byte for byte the same for the same content."""

import io
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from scipy.io import savemat

from data_prep.kitchen.gmu.camera import Calibration, Pose
from data_prep.kitchen.gmu.layout import INSTANCES
from data_prep.synthetic.kitchen.annotation import AnnotatedObject

_LABELS = {name: label for label, name in enumerate(INSTANCES, start=1)}
PNG_LEVEL = 4
"""zlib level: the default, 6, takes two to three times as long and saves nothing."""


def write_png(path: Path, image: np.ndarray) -> None:
    """Write colour uint8 (H, W, 3) or depth uint16 (H, W)."""
    Image.fromarray(image).save(path, compress_level=PNG_LEVEL)


def write_annotation(
    path: Path, filename: str, size: tuple[int, int], objects: Sequence[AnnotatedObject]
) -> None:
    """Write a frame's Pascal-VOC annotation; ``size`` is (width, height), ``filename`` what the file says."""
    root = ElementTree.Element("annotation")
    _element(root, "folder", "Images")
    _element(root, "filename", filename)
    picture = ElementTree.SubElement(root, "size")
    for tag, value in zip(("width", "height", "depth"), (*size, 3), strict=True):
        _element(picture, tag, value)
    for found in objects:
        element = ElementTree.SubElement(root, "object")
        _element(element, "name", found.name)
        _element(element, "pose", "Unspecified")
        _element(element, "truncated", int(found.truncated))
        _element(element, "difficult", int(found.difficult))
        box = ElementTree.SubElement(element, "bndbox")
        for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), found.box, strict=True):
            _element(box, tag, f"{value:g}")
    ElementTree.indent(root)
    path.write_bytes(ElementTree.tostring(root) + b"\n")


def write_poses(
    path: Path, names: Sequence[str], poses: Sequence[Pose], focal: float, with_first_field: bool
) -> None:
    """Write a scene's ``frames``: ``[unused, (f, k1, k2), Rw2c, Tw2c, imgName]`` each, the first optional."""
    fields = ["index"] * with_first_field + ["intrinsics", "Rw2c", "Tw2c", "imgName"]
    frames = np.empty((1, len(names)), [(name, object) for name in fields])
    for i, (name, pose) in enumerate(zip(names, poses, strict=True)):
        record = ([focal, 0.0, 0.0], pose.rotation, pose.translation[None], name)
        frames[0, i] = ((float(i + 1),) if with_first_field else ()) + record
    _write_matlab(path, {"frames": frames})


def write_boxes(path: Path, objects: Sequence[Sequence[AnnotatedObject]]) -> None:
    """Write a scene's ``bboxes``: a 1×F cell array of 1×K structs, empty for a frame without objects.

    Labels number the instances from 1; other names, and other spellings, have label 0.
    """
    fields = ("category", "label", "top", "left", "bottom", "right")
    cells = np.empty((1, len(objects)), object)
    for i, frame in enumerate(objects):
        cells[0, i] = np.empty((1, len(frame)), [(name, object) for name in fields])
        for k, found in enumerate(frame):
            left, top, right, bottom = found.box
            category = np.empty((1, 1), object)  # upstream keeps the name in a cell
            category[0, 0] = found.name
            cells[0, i][0, k] = (category, _LABELS.get(found.name, 0), top, left, bottom, right)
    _write_matlab(path, {"bboxes": cells})


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write the colour camera as an OpenCV matrix."""
    matrix = [calibration.fx, 0, calibration.cx, 0, calibration.fy, calibration.cy, 0, 0, 1]
    path.write_text(
        "%YAML:1.0\n---\ncameraMatrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n"
        f"   data: [ {', '.join(f'{value:.17g}' for value in matrix)} ]\n",
        encoding="utf-8",
    )


def write_point_cloud(path: Path, points: np.ndarray, colours: np.ndarray) -> None:
    """Write a binary PLY of ``points`` (N, 3) with ``colours`` uint8 (N, 3)."""
    layout = [(axis, "<f4") for axis in "xyz"] + [(name, "u1") for name in ("red", "green", "blue")]
    vertices = np.empty(len(points), layout)
    for column, axis in enumerate("xyz"):
        vertices[axis] = points[:, column]
    for column, name in enumerate(("red", "green", "blue")):
        vertices[name] = colours[:, column]
    header = "ply\nformat binary_little_endian 1.0\n" + f"element vertex {len(points)}\n"
    header += "".join(f"property float {axis}\n" for axis in "xyz")
    header += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue")) + "end_header\n"
    path.write_bytes(header.encode() + vertices.tobytes())


def _write_matlab(path: Path, variables: dict[str, np.ndarray]) -> None:
    """Write a MATLAB file whose header does not say when: scipy's would."""
    buffer = io.BytesIO()
    savemat(buffer, variables)
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])


def _element(parent: ElementTree.Element, tag: str, value: object) -> None:
    ElementTree.SubElement(parent, tag).text = str(value)
