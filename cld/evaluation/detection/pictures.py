"""A picture of a detector at work: test images with what is annotated and what was detected."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cld.config import is_generated, load_preset
from cld.data import StoreInfo
from cld.evaluation.detection.average_precision import Detections
from cld.evaluation.detection.data import AnnotatedImages
from cld.runtime.files import atomic_path

#: Width and height in inches, and dots an inch.
SIZE, RESOLUTION = (6.9, 5.9), 200
COLOURS = colormaps["tab10"].colors  # type: ignore[attr-defined]
#: Rows and columns of images.
GRID = (4, 4)
#: Score from which a detection is drawn, and how many of an image are at most.
SHOWN_SCORE, MOST_SHOWN = 0.3, 8


def save_pictures(
    path: Path, images: AnnotatedImages, detections: Detections, info: StoreInfo, run: str
) -> None:
    """Draw evenly spread images of a split into a PNG file; ``detections`` are of all of its images.

    What is annotated is dashed in white, what is detected in its class's colour with its score.
    """
    shown = np.unique(np.linspace(0, len(images) - 1, GRID[0] * GRID[1]).round().astype(int))
    figure = Figure(figsize=SIZE)
    scale = load_preset(info.preset)["title"] + ", generated data" * is_generated(info.preset, info.dataset)
    lines = [
        f"Detections on {info.dataset} after fine-tuning {run}, {scale}",
        f"solid: detected, with scores from {SHOWN_SCORE} on; dashed: annotated",
    ]
    figure.suptitle("\n".join(textwrap.fill(line, 130) for line in lines), fontsize=7, y=0.995, va="top")
    axes = figure.subplots(*GRID).ravel()
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.9, wspace=0.03, hspace=0.03)
    for axis in axes:
        axis.axis("off")
    for axis, row in zip(axes, shown.tolist(), strict=False):
        axis.imshow(images.pixels(row))
        _draw_truth(axis, images, row)
        _draw_detections(axis, detections, row, info.classes)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=RESOLUTION)


def _draw_truth(axis: Axes, images: AnnotatedImages, row: int) -> None:
    around = [patheffects.withStroke(linewidth=1.6, foreground="black")]
    for box in images.images.objects.of(row).boxes:
        axis.add_patch(_outline(box, edgecolor="white", linestyle="--", linewidth=0.7, path_effects=around))


def _draw_detections(axis: Axes, detections: Detections, row: int, classes: list[str]) -> None:
    own = np.flatnonzero((detections.image == row) & (detections.score >= SHOWN_SCORE))
    for i in own[np.argsort(-detections.score[own], kind="stable")][:MOST_SHOWN]:
        label, box = int(detections.label[i]), detections.box[i]
        axis.add_patch(_outline(box, edgecolor=COLOURS[label % len(COLOURS)], linewidth=1.1))
        back = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.4}
        text = f"{classes[label]} {detections.score[i]:.2f}"
        axis.text(box[0], box[1], text, fontsize=4.5, va="top", clip_on=True, bbox=back)


def _outline(box: np.ndarray, **look: Any) -> Rectangle:
    left, top, right, bottom = box.tolist()
    return Rectangle((left, top), right - left, bottom - top, fill=False, **look)
