"""Boxes of many images as flat arrays: what was annotated, and what was detected."""

from dataclasses import dataclass

import numpy as np

from cld.data import Objects


@dataclass(frozen=True)
class Truth:
    """The M annotated objects of a split.

    Attributes:
        image: int64 (M,), which image.
        label: int64 (M,), 0-based.
        box: float32 (M, 4), left, top, right, bottom in pixels, right and bottom exclusive.
        difficult: bool (M,): finding it counts neither for nor against.
    """

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    difficult: np.ndarray

    @classmethod
    def of_objects(cls, objects: Objects) -> "Truth":
        """All objects of a store's split."""
        image = np.repeat(np.arange(len(objects.offsets) - 1), np.diff(objects.offsets))
        return cls(image, objects.labels, objects.boxes, objects.difficult.astype(bool))


@dataclass(frozen=True)
class Detections:
    """N detected boxes: fields of :class:`Truth`, and ``score`` float (N,). Of equals the first leads."""

    image: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray
