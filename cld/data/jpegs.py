"""Stores of JPEGs of any size, read at random by any number of processes at once."""

import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from cld.data.objects import Objects
from cld.data.store_format import (
    JPEG,
    Description,
    StoreInfo,
    check_splits,
    open_store,
    read_group,
    read_whole,
    write_file,
)
from cld.runtime.errors import InputError
from cld.runtime.progress import progress

BLOCK_BYTES = 16 * 2**20
#: Channel statistics of ImageNet, as commonly used to normalise its images.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class EncodedSplit:
    """A split to write.

    Attributes:
        parts: files that hold the JPEGs end to end, one file after the other.
        lengths: int64 (N,), bytes of each JPEG.
        digests: uint8 (N, 32), SHA-256 of each JPEG.
        labels: int64 (N,), -1 where an image has none.
        objects: annotated objects, where the dataset has them.
    """

    parts: Sequence[Path]
    lengths: np.ndarray
    digests: np.ndarray
    labels: np.ndarray
    objects: Objects | None = None


def write_encoded_store(path: str | Path, splits: Mapping[str, EncodedSplit], **facts: Any) -> StoreInfo:
    """Write a store of JPEGs atomically and return its description; ``parts`` are left as they are.

    ``facts`` are the fields of :class:`cld.data.Description`; ``mean`` and ``std`` are ImageNet's by default.

    Raises:
        InputError: as ``write_store``, or the parts do not have the bytes that ``lengths`` states.
    """
    description = Description(**({"mean": IMAGENET_MEAN, "std": IMAGENET_STD} | facts))
    check_splits(path, {name: split.labels for name, split in splits.items()}, description)
    sizes = {name: int(split.lengths.sum()) for name, split in splits.items()}
    for name, split in splits.items():
        found, expected = sum(part.stat().st_size for part in split.parts), sizes[name]
        if found != expected:
            raise InputError(
                f"{path}: the parts of split '{name}' hold {found} bytes and should hold {expected}; delete "
                "them and build again"
            )

    def fill(store: h5py.File) -> None:
        with progress("write", sum(sizes.values()) >> 20, "MB") as bar:
            for name, split in splits.items():
                group = store.create_group(name)
                # contiguous: readers take a JPEG from its place in the file, without HDF5
                jpeg = group.create_dataset("jpeg", (sizes[name],), dtype="uint8")
                position = 0
                for part in split.parts:
                    with open(part, "rb") as file:
                        while block := file.read(BLOCK_BYTES):
                            jpeg[position : position + len(block)] = np.frombuffer(block, dtype=np.uint8)
                            position += len(block)
                            bar.advance(len(block) >> 20)
                offsets = np.concatenate([[0], np.cumsum(split.lengths)]).astype(np.int64)
                labels = np.asarray(split.labels, dtype=np.int64)
                arrays = {"offsets": offsets, "sha256": split.digests, "labels": labels}
                for dataset, array in (arrays | (split.objects.arrays() if split.objects else {})).items():
                    group.create_dataset(dataset, data=array)

    return write_file(path, JPEG, description, fill)


class EncodedImages:
    """The JPEGs of one split: ``images[i]`` is the i-th one's bytes.

    Reading is one ``pread``: no HDF5, no lock and no file position that threads or processes share. A pickled
    copy opens the file again.

    Attributes:
        labels: int64 (N,), -1 where an image has none.
        objects: annotated objects, None where the dataset has none.
    """

    def __init__(self, path: str | Path, split: str):
        """Read the index of a split.

        Raises:
            InputError: the store cannot be read, has no such split, or is of small images.
        """
        self.path = Path(path)
        with open_store(path) as store:
            group = read_group(path, store, split)
            if "jpeg" not in group:
                raise InputError(f"{path}: holds images of one size; read them with read_split")
            self._start = group["jpeg"].id.get_offset()
            self._offsets, self._digests, self.labels = (
                read_whole(path, group[name]) for name in ("offsets", "sha256", "labels")
            )
            self.objects = Objects.read(group) if "boxes" in group else None
        self._file: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> bytes:
        if not 0 <= index < len(self):  # also ends a loop over the images
            raise IndexError(f"{self.path}: no image {index}; there are {len(self)}")
        if self._file is None:
            self._file = os.open(self.path, os.O_RDONLY)
        start, stop = self._offsets[index : index + 2].tolist()
        content = os.pread(self._file, stop - start, self._start + start)
        if len(content) != stop - start:
            raise InputError(f"{self.path}: ends before image {index}; build it again")
        if hashlib.sha256(content).digest() != self._digests[index].tobytes():  # a fraction of decoding it
            raise InputError(
                f"{self.path}: image {index} is damaged (its SHA-256 differs); build the store again"
            )
        return content

    @contextmanager
    def opened(self, index: int) -> Iterator[tuple[Image.Image, bytes]]:
        """One image as PIL opens it, to be decoded within the block, and its bytes.

        Raises:
            InputError: from the block, the JPEG cannot be decoded.
        """
        content = self[index]
        try:
            yield Image.open(io.BytesIO(content)), content
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"{self.path}: image {index} cannot be decoded ({error}); build it again"
            ) from error

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_file": None}

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            os.close(self._file)
