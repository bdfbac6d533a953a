"""Instances: the rows of a store, and the manifest that says where each came from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.common.boxes import Box
from data_prep.common.manifest import write_rows

COLUMNS = (
    *("split", "row", "class", "label", "scene", "frame", "image", "left", "top", "right", "bottom"),
    *("truncated", "difficult", "distance_m", "visible_fraction", "iou_3d"),
)
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Instance:
    """One object in one image.

    Attributes:
        image: path relative to the source's root.
        label: index of its class.
        scene: number of the scene, None where the source has no scenes.
        frame: number of the frame, None where the source has no frames.
        box: the annotated box inside the frame (0-based, right and bottom exclusive), None for a whole image.
        truncated: as annotated.
        difficult: as annotated.
        distance_m: metres from the camera, NaN = unknown.
        visible_fraction: 0..1, NaN = unknown.
        iou_3d: IoU of the box with the projected 3D object's, NaN = unknown.
    """

    image: str
    label: int
    scene: int | None = None
    frame: int | None = None
    box: Box | None = None
    truncated: bool | None = None
    difficult: bool | None = None
    distance_m: float = UNKNOWN
    visible_fraction: float = UNKNOWN
    iou_3d: float = UNKNOWN


def write_manifest(
    path: str | Path, splits: Mapping[str, Sequence[Instance]], classes: Sequence[str]
) -> None:
    """Write one CSV row an instance, in the store's order: ``row`` indexes its split; unknowns are empty."""
    rows = (
        (
            *(split, row, classes[i.label], i.label, i.scene, i.frame, i.image),
            *(i.box or (None,) * 4),
            *(i.truncated, i.difficult, i.distance_m, i.visible_fraction, i.iou_3d),
        )
        for split, instances in splits.items()
        for row, i in enumerate(instances)
    )
    write_rows(path, COLUMNS, ([_field(value) for value in row] for row in rows))


def _field(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}".rstrip("0").rstrip(".")
    return "" if value is None else value
