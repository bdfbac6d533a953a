"""Annotated objects of a split's images, in flat arrays: the targets of detection."""

from dataclasses import dataclass

import h5py
import numpy as np

#: Names of a split's datasets, by field.
DATASETS = {
    "boxes": "boxes",
    "labels": "box_labels",
    "offsets": "box_offsets",
    "difficult": "difficult",
    "truncated": "truncated",
}


@dataclass(frozen=True)
class Objects:
    """The objects of N images: those of image i are rows ``offsets[i]:offsets[i + 1]``.

    Attributes:
        boxes: float32 (M, 4), left, top, right, bottom in pixels, 0-based, right and bottom exclusive.
        labels: int64 (M,).
        offsets: int64 (N + 1,).
        difficult: uint8 (M,), 1 = not counted in evaluation.
        truncated: uint8 (M,), 1 = extends beyond the image.
    """

    boxes: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray

    def of(self, image: int) -> "Objects":
        """The objects of one image."""
        start, stop = self.offsets[image : image + 2]
        own = {field: getattr(self, field)[start:stop] for field in DATASETS}
        return Objects(**own | {"offsets": np.array([0, stop - start])})

    def arrays(self) -> dict[str, np.ndarray]:
        """The datasets of a split, by name."""
        return {name: getattr(self, field) for field, name in DATASETS.items()}

    @classmethod
    def read(cls, group: h5py.Group) -> "Objects":
        """The objects of a split's group."""
        return cls(**{field: group[name][:] for field, name in DATASETS.items()})
