"""How much of an object a frame shows, and how far away it is, from the depth sensor's readings."""

import numpy as np

from data_prep.common.boxes import Box
from data_prep.kitchen.gmu.camera import Calibration, Pose, distances, project
from data_prep.kitchen.gmu.layout import DEPTH_UNITS_PER_METRE
from data_prep.kitchen.object_models import ObjectModel

CELL_SPACINGS = 2.0
"""Side of the cells in which points hide others, in spacings of the points."""

MIN_POINTS = 10
"""Surface points with a sensor reading below which visibility is unknown."""


def visibility(
    model: ObjectModel,
    pose: Pose,
    calibration: Calibration,
    depth: np.ndarray,
    scale: float,
    tolerance_m: float,
) -> tuple[float, float]:
    """Compare an object's surface with what the depth sensor saw.

    The object is its cloud: of one that was scanned from one side, that side. A point on the front stands for
    as much of the silhouette as the surface around it covers. It is visible if it is inside the frame and the
    sensor's depth at its pixel is within ``tolerance_m`` of its own; it is hidden if it is outside the frame
    or the depths differ; at a hole it counts as neither.

    Args:
        depth: the sensor's (H, W), in ``DEPTH_UNITS_PER_METRE``, 0 = no reading.
        scale: reconstruction units per metre, negative.

    Returns:
        Visible fraction of the object's silhouette (0..1), and its distance in metres; NaN where the sensor
        has no reading to tell from.
    """
    towards = pose.centre - model.surface
    # area seen from the camera, per area of surface: cosine over squared distance
    weights = np.abs((towards * model.normals).sum(axis=1)) / np.linalg.norm(towards, axis=1) ** 3
    pixels, z = project(model.surface, pose, calibration)
    front = on_front(pixels, z, model.spacing, calibration)
    weights, pixels, z = weights[front], pixels[front], z[front]
    height, width = depth.shape
    # a point behind the camera has NaN pixels, which no comparison finds inside
    inside = (pixels >= -0.5).all(axis=1) & (pixels < (width - 0.5, height - 0.5)).all(axis=1)
    columns, rows = np.rint(pixels[inside]).astype(int).T
    sensed = np.full(len(pixels), np.nan)
    sensed[inside] = depth[rows, columns] / DEPTH_UNITS_PER_METRE
    measured = sensed != 0
    visible = measured & (np.abs(sensed - z / scale) <= tolerance_m)
    known = np.count_nonzero(measured) >= MIN_POINTS
    fraction = float(weights[visible].sum() / weights[measured].sum()) if known else float("nan")
    return fraction, _median_distance(pixels[visible], sensed[visible], calibration)


def on_front(pixels: np.ndarray, z: np.ndarray, spacing: float, calibration: Calibration) -> np.ndarray:
    """Which points of a cloud no others of it hide, bool (N,); so are all that are behind the camera.

    The frame is cut into cells that hold some points of the front each. The nearest in a cell is on the
    front, and with it what is not much farther away. That needs no normals that point outwards: a scan of
    one side has no inside that they could be turned away from.

    Args:
        pixels: (N, 2), where the points project to.
        z: (N,), their Z, negative before the camera.
        spacing: how far the points are from their neighbours, in reconstruction units as ``z``.
    """
    front = z >= 0
    before = np.flatnonzero(~front)
    if len(before):
        side = CELL_SPACINGS * spacing
        cells = np.floor(pixels[before] / (side * calibration.fx / np.median(-z[before])))
        _, cell = np.unique(cells, axis=0, return_inverse=True)
        nearest = np.full(cell.max() + 1, -np.inf)
        np.maximum.at(nearest, cell, z[before])
        front[before] = z[before] >= nearest[cell] - side
    return front


def box_distance(box: Box, depth: np.ndarray, calibration: Calibration) -> float:
    """Distance in metres to what fills the central half of a box; NaN without a reading there.

    Args:
        box: inside the frame, with an area.
        depth: as of :func:`visibility`.
    """
    rows, columns = (
        np.arange(int(low + (high - low) / 4), int(np.ceil(high - (high - low) / 4)))
        for low, high in ((box.top, box.bottom), (box.left, box.right))
    )
    sensed = depth[np.ix_(rows, columns)].ravel() / DEPTH_UNITS_PER_METRE
    pixels = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    return _median_distance(pixels[sensed > 0], sensed[sensed > 0], calibration)


def _median_distance(pixels: np.ndarray, metres: np.ndarray, calibration: Calibration) -> float:
    return float(np.median(distances(pixels, metres, calibration))) if len(pixels) else float("nan")
