"""Stores of small images of one size, read whole into memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cld.data.store_format import (
    ARRAYS,
    Description,
    StoreInfo,
    check_splits,
    open_store,
    read_group,
    write_file,
)
from cld.runtime.errors import InputError

#: Pixels whose levels are counted at a time, which takes eight bytes for each.
COUNTED = 2**22


@dataclass(frozen=True)
class Split:
    """One split: ``images`` uint8 (N, H, W, 3) and ``labels`` int64 (N,), -1 where an image has none."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def write_store(path: str | Path, splits: Mapping[str, Split], **facts: Any) -> StoreInfo:
    """Write a store of small images atomically and return its description.

    ``facts`` are the fields of :class:`cld.data.Description`.

    Raises:
        InputError: a split is empty or missing, or a label is not an index into the classes.
    """
    description = Description(**facts)
    check_splits(path, {name: split.labels for name, split in splits.items()}, description)
    if description.mean is None:
        mean, std = channel_statistics(splits["train"].images)
        description = replace(description, mean=tuple(mean), std=tuple(std))

    def fill(store: h5py.File) -> None:
        for name, split in splits.items():
            store.create_dataset(f"{name}/images", data=np.asarray(split.images, dtype=np.uint8))
            store.create_dataset(f"{name}/labels", data=np.asarray(split.labels, dtype=np.int64))

    return write_file(path, ARRAYS, description, fill)


def read_split(path: str | Path, names: str | Sequence[str]) -> Split:
    """Load one split, or several one after another, whole into memory.

    Raises:
        InputError: the store cannot be read, has no such split, or has images of many sizes.
    """
    names = [names] if isinstance(names, str) else names
    with open_store(path) as store:
        groups = [read_group(path, store, name) for name in names]
        splits = [_images(path, group) for group in groups]
        # one buffer, filled split by split, since unlabelled images can be gigabytes
        images = np.empty((sum(map(len, splits)), *splits[0].shape[1:]), np.uint8)
        start = 0
        for split in splits:
            stop = start + len(split)
            split.read_direct(images, dest_sel=np.s_[start:stop])
            start = stop
        return Split(images, np.concatenate([group["labels"][:] for group in groups]))


def read_images(path: str | Path, split: str, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Some images of a split, uint8 (len(rows), H, W, 3), without reading the others.

    Raises:
        InputError: the store cannot be read, has no such split, or has images of many sizes.
    """
    with open_store(path) as store:
        images = _images(path, read_group(path, store, split))
        # memory-mapped, since HDF5 reads single rows slowly
        mapped = np.memmap(path, images.dtype, "r", images.id.get_offset(), images.shape)
        return mapped[np.asarray(rows)]


def _images(path: str | Path, group: h5py.Group) -> h5py.Dataset:
    if "images" not in group:
        raise InputError(
            f"{path}: holds JPEGs of many sizes, which are not loaded whole; use a store of small images"
        )
    return group["images"]


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel, in [0, 1], of uint8 images (N, H, W, 3)."""
    # from the 256-bin histogram of each channel: exact, without a float copy of the images
    levels = np.arange(256) / 255
    counts = np.zeros((3, 256), np.int64)
    step = max(1, COUNTED // images[0, ..., 0].size)
    for start in range(0, len(images), step):
        some = images[start : start + step]
        counts += [np.bincount(some[..., channel].ravel(), minlength=256) for channel in range(3)]
    weights = counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ levels
    return mean, np.sqrt(np.maximum(weights @ levels**2 - mean**2, 0))
