"""Annotated objects of an image that is turned or shrunk: their boxes move with the pixels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cld.data import Objects


def moved(objects: Objects, before: tuple[int, int], orientation: int, after: tuple[int, int]) -> Objects:
    """The objects of one image, with boxes of the upstream pixels, as they lie in the stored image.

    ``before`` and ``after`` are (width, height) upstream and as stored, ``orientation`` is EXIF's.
    """
    width, height = before
    boxes = turned(np.asarray(objects.boxes, dtype=np.float64).reshape(-1, 4), width, height, orientation)
    if orientation >= 5:  # these lay the image on its side
        width, height = height, width
    scale = np.array([after[0] / width, after[1] / height] * 2)
    return replace(objects, boxes=(boxes * scale).astype(np.float32))


def turned(boxes: np.ndarray, width: float, height: float, orientation: int) -> np.ndarray:
    """Boxes (K, 4) of an image ``width`` × ``height``, after it is turned by EXIF's ``orientation`` 1..8."""
    left, top, right, bottom = boxes.T
    columns = (left, right), (width - right, width - left)  # as they are, mirrored
    rows = (top, bottom), (height - bottom, height - top)
    (x0, x1), (y0, y1) = {
        1: (columns[0], rows[0]),
        2: (columns[1], rows[0]),
        3: (columns[1], rows[1]),
        4: (columns[0], rows[1]),
        5: (rows[0], columns[0]),
        6: (rows[1], columns[0]),
        7: (rows[1], columns[1]),
        8: (rows[0], columns[1]),
    }[orientation]
    return np.stack([x0, y0, x1, y1], axis=1)


def joined(each: Sequence[Objects]) -> Objects:
    """The objects of several images after one another."""
    counts = np.concatenate([np.diff(objects.offsets) for objects in each])
    return Objects(
        boxes=np.concatenate([objects.boxes for objects in each]).astype(np.float32),
        labels=np.concatenate([objects.labels for objects in each]).astype(np.int64),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        difficult=np.concatenate([objects.difficult for objects in each]).astype(np.uint8),
        truncated=np.concatenate([objects.truncated for objects in each]).astype(np.uint8),
    )
