"""Small pictures of a store's images, of either kind: for cards and for comparing raw pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cld.data.arrays import read_images
from cld.data.jpegs import EncodedImages
from cld.data.store_format import JPEG, read_info


def thumbnails(path: str | Path, split: str, rows: Sequence[int] | np.ndarray, side: int) -> np.ndarray:
    """The images ``rows`` of a split, each stretched to uint8 (side, side, 3); all as one array.

    Images that have this size already are returned as they are.
    """
    if read_info(path).kind != JPEG:
        images = read_images(path, split, rows)
        if images.shape[1:3] == (side, side):
            return images
        return np.stack([_resized(Image.fromarray(image), side) for image in images])
    encoded = EncodedImages(path, split)
    return np.stack([_decoded(encoded, int(row), side) for row in rows])


def _decoded(images: EncodedImages, row: int, side: int) -> np.ndarray:
    with images.opened(row) as (image, _):
        image.draft("RGB", (2 * side, 2 * side))  # decode no larger than needed
        return _resized(image.convert("RGB"), side)


def _resized(image: Image.Image, side: int) -> np.ndarray:
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
