"""Write the files of the kitchen dataset (GMU Kitchens); the same content gives the same bytes."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from data_prep.common.voc_annotation import AnnotatedBox
from data_prep.kitchen.gmu.camera import Calibration, Pose
from data_prep.synthetic.annotation_xml import annotation_xml, box_tag, size_tag

PNG_LEVEL = 4
"""zlib level: the default, 6, takes two to three times as long and saves nothing."""


def write_png(path: Path, image: np.ndarray) -> None:
    """Write colour uint8 (H, W, 3) or depth uint16 (H, W)."""
    Image.fromarray(image).save(path, compress_level=PNG_LEVEL)


def write_annotation(
    path: Path, filename: str, size: tuple[int, int], objects: Sequence[AnnotatedBox]
) -> None:
    """Write a frame's Pascal-VOC annotation; ``size`` is (width, height), ``filename`` the tag's content."""
    content = [("folder", "Images"), ("filename", filename), size_tag(*size)]
    for found in objects:
        tags = [
            ("name", found.name),
            ("pose", "Unspecified"),
            ("truncated", int(found.truncated)),
            ("difficult", int(found.difficult)),
            box_tag(*found.box),
        ]
        content.append(("object", tags))
    path.write_bytes(annotation_xml(content, "  "))


def write_poses(
    path: Path, names: Sequence[str], poses: Sequence[Pose], focal: float, with_first_field: bool
) -> None:
    """Write a scene's ``frames``: ``[unused, (f, k1, k2), Rw2c, Tw2c, imgName]`` each, the first optional."""
    fields = ["index"] * with_first_field + ["intrinsics", "Rw2c", "Tw2c", "imgName"]
    frames = np.empty((1, len(names)), [(name, object) for name in fields])
    for i, (name, pose) in enumerate(zip(names, poses, strict=True)):
        record = ([focal, 0.0, 0.0], pose.rotation, pose.translation[None], name)
        frames[0, i] = ((float(i + 1),) if with_first_field else ()) + record
    buffer = io.BytesIO()
    savemat(buffer, {"frames": frames})
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])  # scipy's header is dated


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
    vertices = np.empty(len(points), [("place", "<f4", 3), ("colour", "u1", 3)])
    vertices["place"], vertices["colour"] = points, colours
    header = "ply\nformat binary_little_endian 1.0\n" + f"element vertex {len(points)}\n"
    header += "".join(f"property float {axis}\n" for axis in "xyz")
    header += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue")) + "end_header\n"
    path.write_bytes(header.encode() + vertices.tobytes())
