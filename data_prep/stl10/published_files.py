"""The published files: images channel by channel, each channel column by column; one byte a label; names."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.source_files import FETCH_AGAIN, FileDigest, PublishedMd5, reading, require_md5

SIDE = 96
IMAGE_BYTES = 3 * SIDE**2
BLOCK_IMAGES = 1000


def image_count(path: Path) -> int:
    """How many images a file holds, by its size alone.

    Raises:
        InputError: it is missing, or its last image is not whole.
    """
    with reading(path):
        size = path.stat().st_size
    if size % IMAGE_BYTES:
        raise InputError(
            f"{path}: {size} bytes are no whole number of images of {IMAGE_BYTES} bytes; {FETCH_AGAIN}"
        )
    return size // IMAGE_BYTES


def read_images(
    path: Path, root: Path, published: PublishedMd5 | None, on_read: Callable[[int], None]
) -> tuple[np.ndarray, FileDigest]:
    """Read images, turned the right way up, to uint8 (N, 96, 96, 3), and the file's digest.

    They are in memory once, beside one block of the file. ``on_read`` gets each further number of them.

    Raises:
        InputError: the file is missing, cannot be read, or is not the published one.
    """
    n = image_count(path)
    images = np.empty((n, SIDE, SIDE, 3), dtype=np.uint8)
    # not for security: systems that forbid MD5 otherwise allow this use
    sha256, found = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with reading(path), open(path, "rb") as file:
        for start in range(0, n, BLOCK_IMAGES):
            block = np.fromfile(file, np.uint8, min(BLOCK_IMAGES, n - start) * IMAGE_BYTES)
            sha256.update(block)
            found.update(block)
            columns = block.reshape(-1, 3, SIDE, SIDE)
            for channel in range(3):  # three times as fast as one assignment of all channels
                images[start : start + BLOCK_IMAGES, ..., channel] = columns[:, channel].transpose(0, 2, 1)
            on_read(len(columns))
    require_md5(path, found.hexdigest(), published)
    return images, FileDigest(path.relative_to(root).as_posix(), n * IMAGE_BYTES, sha256.hexdigest())


def labels_from(path: Path, content: bytes, n_images: int, n_classes: int) -> np.ndarray:
    """The labels of ``n_images`` images, int64 (N,), counted from 0; the file counts classes from 1.

    Raises:
        InputError: they do not fit the images or the classes.
    """
    labels = np.frombuffer(content, dtype=np.uint8).astype(np.int64) - 1
    if len(labels) != n_images:
        raise InputError(f"{path}: {len(labels)} labels for {n_images} images; {FETCH_AGAIN}")
    outside = labels[(labels < 0) | (labels >= n_classes)]
    if len(outside):
        raise InputError(
            f"{path}: has label {outside[0] + 1}; the labels are 1 to {n_classes}, as in class_names.txt; "
            f"{FETCH_AGAIN}"
        )
    return labels


def class_names_from(path: Path, content: bytes) -> list[str]:
    """The names of the classes, one a line, in the order of the labels.

    Raises:
        InputError: a name is empty or stands twice.
    """
    names = [line.strip() for line in content.decode("utf-8", errors="replace").splitlines()]
    if not names or not all(names) or len(set(names)) != len(names):
        raise InputError(f"{path}: must have one class a line, each once; {FETCH_AGAIN}")
    return names
