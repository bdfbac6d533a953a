"""Stores: a prepared dataset in one HDF5 file.

Layout (format version 1), one group a split::

    /<split>/images   uint8  (N, H, W, 3)
    /<split>/labels   int64  (N,)
    attributes of the file: format, version, dataset, preset, classes, mean, std, sources, config, checksum

``mean`` and ``std`` are per RGB channel in [0, 1], over the training split. ``sources`` is JSON (what the
store was made from, with checksums), ``config`` is JSON (the settings that made it) and ``checksum`` is the
SHA-256 of every split's images and labels.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from cld.errors import InputError
from cld.files import atomic_path

FORMAT = "cld-store"
VERSION = 1


@dataclass(frozen=True)
class Split:
    """One split: ``images`` uint8 (N, H, W, 3) and ``labels`` int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class StoreInfo:
    """What a store says of itself; see the module for the meaning of each attribute."""

    dataset: str
    preset: str
    classes: list[str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sizes: dict[str, int]
    image_size: int
    sources: object
    config: dict
    checksum: str


def write_store(
    path: str | Path,
    splits: dict[str, Split],
    *,
    dataset: str,
    preset: str,
    classes: list[str],
    sources: object,
    config: dict,
) -> StoreInfo:
    """Write a store atomically and return its description.

    Raises:
        InputError: a split is empty or missing, or a label is not an index into ``classes``.
    """
    for name, split in splits.items():
        if len(split) == 0:
            raise InputError(f"{path}: split '{name}' is empty; change {dataset}'s split rule or filters")
        if split.labels.min() < 0 or split.labels.max() >= len(classes):
            raise InputError(f"{path}: split '{name}' has labels outside 0..{len(classes) - 1}")
    if "train" not in splits:
        raise InputError(f"{path}: a store needs a 'train' split; got {', '.join(splits) or 'none'}")
    mean, std = channel_statistics(splits["train"].images)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as store:
        for name, split in splits.items():
            store.create_dataset(f"{name}/images", data=split.images, dtype="uint8")
            store.create_dataset(f"{name}/labels", data=split.labels, dtype="int64")
        attributes = {
            "format": FORMAT,
            "version": VERSION,
            "dataset": dataset,
            "preset": preset,
            "classes": json.dumps(classes),
            "mean": mean,
            "std": std,
            "sources": json.dumps(sources),
            "config": json.dumps(config),
            "checksum": content_checksum(splits),
        }
        store.attrs.update(attributes)
    return read_info(path)


def read_info(path: str | Path) -> StoreInfo:
    """Read a store's description without its images.

    Raises:
        InputError: the file is missing, is not HDF5, or is not a store of this version.
    """
    with _open(path) as store:
        attributes = store.attrs
        return StoreInfo(
            dataset=attributes["dataset"],
            preset=attributes["preset"],
            classes=json.loads(attributes["classes"]),
            mean=tuple(map(float, attributes["mean"])),
            std=tuple(map(float, attributes["std"])),
            sizes={name: len(group["labels"]) for name, group in store.items()},
            image_size=store["train/images"].shape[1],
            sources=json.loads(attributes["sources"]),
            config=json.loads(attributes["config"]),
            checksum=attributes["checksum"],
        )


def read_split(path: str | Path, name: str) -> Split:
    """Load one split whole into memory.

    Raises:
        InputError: the store cannot be read, or has no such split.
    """
    with _open(path) as store:
        if name not in store:
            raise InputError(f"{path}: no split '{name}'; it has {', '.join(store)}")
        return Split(images=store[f"{name}/images"][:], labels=store[f"{name}/labels"][:])


def channel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel, in [0, 1], of uint8 images (N, H, W, 3)."""
    # From the 256-bin histogram of each channel: exact, and never a float copy of the images.
    levels = np.arange(256) / 255
    counts = np.stack([np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)])
    weights = counts / counts.sum(axis=1, keepdims=True)
    mean = weights @ levels
    return mean, np.sqrt(np.maximum(weights @ levels**2 - mean**2, 0))


def content_checksum(splits: dict[str, Split]) -> str:
    """SHA-256 over the splits in name order: name, shapes, images, labels."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        split = splits[name]
        digest.update(f"{name}{split.images.shape}{split.labels.shape}".encode())
        digest.update(np.ascontiguousarray(split.images, dtype=np.uint8))
        digest.update(np.ascontiguousarray(split.labels, dtype=np.int64))
    return digest.hexdigest()


def _open(path: str | Path) -> h5py.File:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such store; build it first")
    try:
        store = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: not readable as HDF5 ({error}); delete it and build it again") from error
    if store.attrs.get("format") != FORMAT or store.attrs.get("version") != VERSION:
        store.close()
        raise InputError(f"{path}: not a {FORMAT} of version {VERSION}; delete it and build it again")
    return store
