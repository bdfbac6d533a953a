"""A scene's 3D objects: their point clouds, where they project to, and which class each is."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from cld.runtime.errors import InputError
from data_prep.common.boxes import Box, clip, iou
from data_prep.kitchen.gmu.camera import Calibration, Pose, project
from data_prep.kitchen.open3d_import import import_open3d

OUTLIER_NEIGHBOURS, OUTLIER_STD = 20, 3.0
NORMAL_NEIGHBOURS = 20
"""Points that a normal is fitted to."""
SPACING_NEIGHBOUR = 6
"""Points spread evenly have six neighbours: the sixth is as far away as the surface has gaps between them."""
MIN_CLASS_SCORE = 0.2
"""Mean IoU with a class's boxes below which an object counts as unidentified."""
_PLY_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
_PLY_TYPES |= {"float": "f4", "double": "f8"}


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """One object of a scene, in world coordinates."""

    path: Path
    surface: np.ndarray  # points (N, 3) spread evenly over its surface
    normals: np.ndarray  # of these points, (N, 3), of length 1, outward or inward
    spacing: float  # how far these points are from their neighbours, in reconstruction units
    outline: np.ndarray  # corners (M, 3) of its convex hull: they project into the same box as all its points


def read_object(path: Path, n_points: int) -> ObjectModel:
    """Read an object's point cloud, without stray points, thinned evenly to ``n_points``, with normals.

    Raises:
        InputError: the file cannot be read, is cut short, or its points span no volume.
    """
    _check_complete(path)
    o3d = import_open3d()
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        cloud = o3d.io.read_point_cloud(str(path), remove_nan_points=True, remove_infinite_points=True)
        try:
            if len(cloud.points) > OUTLIER_NEIGHBOURS:
                cloud, _ = cloud.remove_statistical_outlier(OUTLIER_NEIGHBOURS, OUTLIER_STD)
            hull, _ = cloud.compute_convex_hull()
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"{path}: not an object's point cloud ({reason}); fetch it again") from error
    if len(cloud.points) > n_points:
        cloud = cloud.farthest_point_down_sample(n_points)
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(NORMAL_NEIGHBOURS))
    points, normals = np.asarray(cloud.points), np.asarray(cloud.normals)
    gaps, _ = cKDTree(points).query(points, [min(SPACING_NEIGHBOUR, len(points) - 1) + 1])
    return ObjectModel(path, points, normals, float(np.median(gaps)), np.asarray(hull.vertices))


def projected_box(model: ObjectModel, pose: Pose, calibration: Calibration) -> Box | None:
    """The object's box in a frame, not clipped; None where any of it is behind the camera."""
    pixels, z = project(model.outline, pose, calibration)
    if (z >= 0).any():
        return None
    (left, top), (right, bottom) = pixels.min(axis=0) + 0.5, pixels.max(axis=0) + 0.5
    return Box(left, top, right, bottom)


def object_iou(
    box: Box, model: ObjectModel, pose: Pose, calibration: Calibration, size: tuple[int, int]
) -> float:
    """IoU of a box with the part of the projected object's box that is inside a frame of ``size``."""
    projected = projected_box(model, pose, calibration)
    return 0.0 if projected is None else iou(clip(box, *size), clip(projected, *size))


def identify(
    models: Sequence[ObjectModel],
    views: Iterable[tuple[Pose, Sequence[tuple[int, Box]]]],
    calibration: Calibration,
    size: tuple[int, int],
) -> list[tuple[int | None, float]]:
    """Which label each object has: the one whose boxes it meets best.

    Upstream does not document the numbers of ``object<id>.ply``, so they are not relied on.

    Args:
        views: pose and labelled boxes of frames of the scene, of ``size`` (width, height).

    Returns:
        For each object its label and score: the IoU with the label's best box, averaged over the views that
        show the label and have the object inside the frame. The label is None where no label scores
        ``MIN_CLASS_SCORE``.
    """
    ious = [defaultdict(list) for _ in models]
    for pose, boxes in views:
        for model, of_model in zip(models, ious, strict=True):
            projected = projected_box(model, pose, calibration)
            if projected is None or clip(projected, *size).area == 0:
                continue
            for label in {label for label, _ in boxes}:
                own = (box for other, box in boxes if other == label)
                of_model[label].append(max(iou(clip(box, *size), clip(projected, *size)) for box in own))
    identified = []
    for of_model in ious:
        scores = {label: sum(values) / len(values) for label, values in sorted(of_model.items())}
        label = max(scores, key=scores.get, default=None)
        score = scores.get(label, 0.0)
        identified.append((label if score >= MIN_CLASS_SCORE else None, score))
    return identified


def _check_complete(path: Path) -> None:
    """Check that a PLY file is whole: Open3D fills the points that it lacks with arbitrary memory."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: not readable ({error}); fetch it again") from error
    header, _, body = content.partition(b"end_header")
    vertices = re.search(
        rb"\Aply\b.*^element vertex (\d+)\s*$(.*?)(?:^element |\Z)", header, re.MULTILINE | re.DOTALL
    )
    if not body or vertices is None:
        raise InputError(f"{path}: not a PLY file of points; fetch it again")
    n_vertices = int(vertices[1])
    types = re.findall(r"^property (\w+) \w+\s*$", vertices[2].decode("latin1"), re.MULTILINE)
    if re.search(rb"^format ascii", header, re.MULTILINE):
        complete = len(body.split()) >= n_vertices * len(types)
    else:
        size = sum(np.dtype(_PLY_TYPES.get(name, name)).itemsize for name in types)
        complete = len(body.partition(b"\n")[2]) >= n_vertices * size
    if not complete:
        raise InputError(f"{path}: cut short; fetch it again")
