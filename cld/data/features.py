"""Features of a split under a run's encoder, with test-time transforms (no augmentation)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cld.augment.views import normalise
from cld.data import EncodedImages, StoreInfo, read_split
from cld.data.arrays import read_images
from cld.data.decoding import cut, decoded
from cld.data.store_format import JPEG, view_side
from cld.runtime.progress import progress

BATCH = 512
#: JPEGs a process decodes at a time, and the network takes in at a time.
JPEG_BATCH = 64
AHEAD_BATCHES = 4
#: Side of the central square that the network sees, as a share of the shorter side.
CENTRE = 224 / 256


@torch.inference_mode()
def extract_features(
    encoder: nn.Module,
    store: str | Path,
    split: str,
    info: StoreInfo,
    device: torch.device,
    image_size: int | str = "auto",
    workers: int | str = 0,
    rows: Sequence[int] | None = None,
) -> Tensor:
    """Encode images of ``split``, each once, in order.

    The network sees whole arrays; of a JPEG it sees the central square, after the shorter side has been
    resized to 256/224 of ``image_size``.

    Args:
        image_size: side of what the network sees, or ``auto``, see :func:`cld.data.store_format.view_side`.
        workers: processes that decode JPEGs, or ``auto``; 0: this one does.
        rows: which images of the split; None: all.

    Returns:
        features (N, dim), on ``device``.

    Raises:
        InputError: the store cannot be read, an image cannot be decoded, or a worker died.
    """
    encoder, side = encoder.to(device).eval(), view_side(image_size, info)

    def encode(images: Tensor) -> Tensor:
        return encoder(normalise(images.to(device), info.mean, info.std, side))

    if info.kind != JPEG:
        pixels = read_split(store, split).images if rows is None else read_images(store, split, rows)
        return torch.cat([encode(batch) for batch in torch.from_numpy(pixels).split(BATCH)])
    images = EncodedImages(store, split)
    rows = range(len(images)) if rows is None else rows
    jobs = (rows[start : start + JPEG_BATCH] for start in range(0, len(rows), JPEG_BATCH))
    features = []
    with (
        decoded(partial(centres, images, side), jobs, workers, AHEAD_BATCHES, device) as batches,
        progress(f"features of {split}", len(rows), "images") as bar,
    ):
        for batch in batches:
            features.append(encode(batch))
            bar.advance(len(batch))
    return torch.cat(features)


def centres(images: EncodedImages, side: int, rows: Sequence[int]) -> np.ndarray:
    """The central squares of some images, uint8 (len(rows), side, side, 3)."""
    return np.concatenate([cut(images, row, partial(_centre, side), side) for row in rows])


def _centre(side: int, height: int, width: int) -> np.ndarray:
    """The region of torchvision's Resize and CenterCrop, (1, 4): top, left, height, width."""
    shorter, target = min(height, width), round(side / CENTRE)
    sizes = np.array([height, width])
    scaled = sizes * target // shorter
    start = np.round((scaled - side) / 2)
    return (np.stack([start, [side, side]]) * sizes / scaled).reshape(1, 4)
