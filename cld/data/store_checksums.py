"""Checksums of each dataset, of a store's whole content and of its file."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from cld.runtime.progress import progress

BLOCK_BYTES = 16 * 2**20


def seal(store: h5py.File) -> None:
    """Store each dataset's checksum as its attribute; JPEGs already have one each."""
    with progress("hash", megabytes(store), "MB") as bar:
        for name, dataset in datasets(store):
            if not is_jpegs(name):
                dataset.attrs["sha256"] = sha256(dataset)
            bar.advance(dataset.nbytes >> 20)


def combined(store: h5py.File) -> str:
    """The checksum of a store's content, from the checksums of its datasets (see :func:`seal`)."""
    lines = "".join(
        f"{name} {dataset.attrs['sha256']}\n" for name, dataset in datasets(store) if not is_jpegs(name)
    )
    return hashlib.sha256(lines.encode()).hexdigest()


def is_jpegs(name: str) -> bool:
    """Whether a dataset holds JPEGs, whose checksums are in the dataset ``sha256`` beside it."""
    return name.endswith("/jpeg")


def sidecar(path: str | Path) -> Path:
    """The file beside a store that holds the whole file's checksum, in the format of sha256sum."""
    return Path(f"{path}.sha256")


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def datasets(store: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every dataset of a store with its name, in the order of the names."""
    for split in sorted(store):
        for name in sorted(store[split]):
            yield f"{split}/{name}", store[split][name]


def sha256(array: np.ndarray | h5py.Dataset) -> str:
    """SHA-256 over type, shape and content, a block of rows at a time."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    rows = max(1, BLOCK_BYTES * len(array) // max(array.nbytes, 1))
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]))
    return digest.hexdigest()


def megabytes(store: h5py.File) -> int:
    """Size of all datasets."""
    return sum(dataset.nbytes >> 20 for _, dataset in datasets(store))
