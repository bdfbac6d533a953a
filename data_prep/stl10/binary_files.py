"""The binary files: images stored channel by channel, each channel column by column, and one byte a label."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.source_files import FETCH_AGAIN, FileDigest, file_size, read_blocks, read_file

SIDE = 96
IMAGE_BYTES = 3 * SIDE**2
BLOCK_IMAGES = 1000


def image_count(path: Path) -> int:
    """How many images a file holds, by its size alone.

    Raises:
        InputError: it is missing, or its last image is not whole.
    """
    size = file_size(path)
    if size % IMAGE_BYTES:
        raise InputError(
            f"{path}: {size} bytes are no whole number of images of {IMAGE_BYTES} bytes; {FETCH_AGAIN}"
        )
    return size // IMAGE_BYTES


def read_images(
    path: Path, root: Path, md5: str | None, on_read: Callable[[int], None]
) -> tuple[np.ndarray, FileDigest]:
    """Read images, turned the right way up; they are in memory once, beside one block of the file.

    Args:
        path: the file.
        root: what the digest's path is relative to.
        md5: published; None: not checked.
        on_read: called with each further number of images read.

    Returns:
        uint8 (N, 96, 96, 3), and the file's digest.

    Raises:
        InputError: the file is missing, cannot be read, changes meanwhile, or is not the published one.
    """
    images = np.empty((image_count(path), SIDE, SIDE, 3), dtype=np.uint8)
    n_read = 0

    def take(block: memoryview) -> None:
        nonlocal n_read
        if len(block) % IMAGE_BYTES or n_read + len(block) // IMAGE_BYTES > len(images):
            raise InputError(f"{path}: changed while it was read; run this again when it is complete")
        columns = np.frombuffer(block, dtype=np.uint8).reshape(-1, 3, SIDE, SIDE)
        for channel in range(3):  # three times as fast as one assignment of all channels
            rows = columns[:, channel].transpose(0, 2, 1)
            images[n_read : n_read + len(columns), ..., channel] = rows
        n_read += len(columns)
        on_read(len(columns))

    digest = read_blocks(path, root, md5, BLOCK_IMAGES * IMAGE_BYTES, take)
    if n_read != len(images):
        raise InputError(f"{path}: changed while it was read; run this again when it is complete")
    return images, digest


def read_labels(
    path: Path, root: Path, md5: str | None, n_images: int, n_classes: int
) -> tuple[np.ndarray, FileDigest]:
    """Read the labels of ``n_images`` images; the file counts classes from 1.

    Returns:
        int64 (N,), counted from 0, and the file's digest.

    Raises:
        InputError: the file is missing, cannot be read, is not the published one, or does not fit its images.
    """
    content, digest = read_file(path, root, md5)
    labels = np.frombuffer(content, dtype=np.uint8).astype(np.int64) - 1
    if len(labels) != n_images:
        raise InputError(f"{path}: {len(labels)} labels for {n_images} images; {FETCH_AGAIN}")
    outside = labels[(labels < 0) | (labels >= n_classes)]
    if len(outside):
        raise InputError(
            f"{path}: has label {outside[0] + 1}; the labels are 1 to {n_classes}, as in class_names.txt; "
            f"{FETCH_AGAIN}"
        )
    return labels, digest
