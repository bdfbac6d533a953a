"""Annotations of a rendered frame, as a human would draw them: around what is visible of each object."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from data_prep.common.boxes import from_voc
from data_prep.common.voc_annotation import AnnotatedBox
from data_prep.kitchen.gmu.camera import Calibration, Pose, project
from data_prep.synthetic.kitchen.meshes import Mesh
from data_prep.synthetic.kitchen.ray_caster import RayCaster, pixel_grid

MIN_VISIBLE_SHARE, MIN_VISIBLE_PX = 0.12, 40
"""Objects with a smaller visible share, or fewer visible pixels, are not annotated."""

DIFFICULT_SHARE, DIFFICULT_SIDE_PX = 0.5, 10
"""Objects with a smaller visible share, or a shorter side, are annotated as difficult."""

SLACK = 0.05
"""Annotators draw each side up to this share of the object's outside."""


class Silhouette:
    """One object alone: the pixels it would cover with nothing in front of it and no frame around it."""

    def __init__(self, mesh: Mesh):
        self._caster = RayCaster(mesh)
        self._points = mesh.corners.reshape(-1, 3)

    def measure(self, pose: Pose, calibration: Calibration, size: tuple[int, int]) -> tuple[int, bool]:
        """Number of its pixels, and whether the frame of ``size`` (width, height) cuts it."""
        pixels, _ = project(self._points, pose, calibration)
        if np.isnan(pixels).any():  # beside the camera
            return 0, True
        left, top = np.floor(pixels.min(axis=0)).astype(int)
        right, bottom = np.ceil(pixels.max(axis=0)).astype(int) + 1
        hits = self._caster.cast(pose, calibration, pixel_grid(left, top, right, bottom))
        cut = left < 0 or top < 0 or right > size[0] or bottom > size[1]
        return int((hits.triangle >= 0).sum()), bool(cut)


def annotate(
    names: Sequence[str],
    silhouettes: Sequence[Silhouette],
    seen: np.ndarray,
    pose: Pose,
    calibration: Calibration,
    rng: np.random.Generator,
    fractional: bool,
) -> tuple[AnnotatedBox, ...]:
    """Annotate one frame, as inaccurately as ``rng`` says.

    Args:
        names: of the objects to annotate.
        silhouettes: theirs.
        seen: index of the object each pixel shows, int (H, W); others than 0 … len(names) - 1 are ignored.
        pose: kitchen to camera, in metres.
        fractional: whether the annotator's tool keeps fractions of pixels.
    """
    height, width = seen.shape
    regions = ndimage.find_objects(np.where((seen >= 0) & (seen < len(names)), seen + 1, 0), len(names))
    found = []
    for index, region in enumerate(regions):
        slack = rng.uniform(0, SLACK, 4)
        if region is None:
            continue
        visible = int((seen[region] == index).sum())
        whole, truncated = silhouettes[index].measure(pose, calibration, (width, height))
        share = visible / max(whole, visible)
        if visible < MIN_VISIBLE_PX or share < MIN_VISIBLE_SHARE:
            continue
        rows, columns = region
        tight = np.array([columns.start + 1, rows.start + 1, columns.stop, rows.stop], float)
        extent = np.tile(tight[2:] - tight[:2] + 1, 2)
        box = np.clip(tight + slack * extent * [-1, -1, 1, 1], 1, [width, height, width, height])
        box = np.round(box, 2) if fractional else np.round(box)
        short = min(columns.stop - columns.start, rows.stop - rows.start)
        difficult = share < DIFFICULT_SHARE or short < DIFFICULT_SIDE_PX
        found.append(AnnotatedBox(names[index], from_voc(*box.tolist()), truncated, difficult))
    return tuple(found)
