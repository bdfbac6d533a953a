"""A split's images at their own sizes, with their annotated objects, as torchvision's detectors take them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cld.data import EncodedImages, StoreInfo
from cld.data.decoding import decoded
from cld.evaluation.detection.average_precision import Truth
from cld.runtime.errors import InputError


class AnnotatedImages:
    """The images of a split that has annotated objects.

    Attributes:
        rows: int64 (n,), the images that show an object.
        truth: all objects.
    """

    def __init__(self, store: str | Path, split: str, info: StoreInfo):
        """Read the index and the objects of a split.

        Raises:
            InputError: the store cannot be read or has no such split, or the split has no object that counts
                in an evaluation.
        """
        if not info.has_objects:
            raise InputError(
                f"{store}: its images have no annotated objects to detect; name a store that has, such as "
                "voc07's or voc0712's"
            )
        self.images = EncodedImages(store, split)
        objects = self.images.objects
        if objects is None or objects.difficult.all():
            n_difficult = 0 if objects is None else len(objects.labels)
            raise InputError(
                f"{store}: split '{split}' has {len(self.images)} images and no object that counts "
                f"({n_difficult} are difficult); build it from a complete devkit with annotations"
            )
        self.truth = Truth.of_objects(objects)
        self.rows = np.flatnonzero(np.diff(objects.offsets))

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, row: int) -> np.ndarray:
        """One image, uint8 (H, W, 3).

        Raises:
            InputError: it cannot be decoded.
        """
        with self.images.opened(row) as (image, _):
            return np.array(image.convert("RGB"))

    def target(self, row: int, device: torch.device) -> dict[str, Tensor]:
        """One image's objects, also the difficult: ``boxes`` (m, 4), ``labels`` (m,) from 1, 0 is none."""
        objects = self.images.objects.of(row)
        return {
            "boxes": torch.from_numpy(objects.boxes).to(device),
            "labels": torch.from_numpy(objects.labels + 1).to(device),
        }

    @contextmanager
    def decoded(
        self, rows: Iterable[int], workers: int | str, ahead: int, device: torch.device
    ) -> Iterator[Iterator[Tensor]]:
        """Gives an iterator over images (3, H, W) in [0, 1], see :func:`cld.data.decoding.decoded`."""
        with decoded(self.pixels, rows, workers, ahead, device) as images:
            yield (image.permute(2, 0, 1).contiguous().float() / 255 for image in images)


def flipped(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """An image (3, H, W) and its objects, left and right exchanged."""
    left, top, right, bottom = target["boxes"].unbind(1)
    width = image.shape[2]
    boxes = torch.stack([width - right, top, width - left, bottom], dim=1)
    return image.flip(2), {**target, "boxes": boxes}


def flipped_by_half(
    images: Sequence[Tensor], targets: Sequence[dict[str, Tensor]]
) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Images and their objects, of which torch's global generator draws half to be flipped."""
    flips = (torch.rand(len(images)) < 0.5).tolist()
    pairs = [
        flipped(image, target) if flip else (image, target)
        for image, target, flip in zip(images, targets, flips, strict=True)
    ]
    return [image for image, _ in pairs], [target for _, target in pairs]
