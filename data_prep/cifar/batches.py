"""The published files of CIFAR-10 and CIFAR-100, and their dictionaries: images, labels, names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.source_files import FETCH_AGAIN

SIDE = 32


@dataclass(frozen=True)
class Variant:
    """One publication: its files, and how they name what is in them."""

    folder: str  # under the source's root
    batches: Mapping[str, tuple[str, ...]]  # file names by split, in the order of the images
    meta: str  # the file with the classes' names
    names: str  # the key of those names in it
    labels: str  # the key of the labels in a batch
    n_classes: int


#: By the name of the source.
VARIANTS = {
    "cifar10": Variant(
        folder="cifar-10-batches-py",
        batches={"train": tuple(f"data_batch_{n}" for n in range(1, 6)), "test": ("test_batch",)},
        meta="batches.meta",
        names="label_names",
        labels="labels",
        n_classes=10,
    ),
    "cifar100": Variant(
        folder="cifar-100-python",
        batches={"train": ("train",), "test": ("test",)},
        meta="meta",
        names="fine_label_names",
        labels="fine_labels",
        n_classes=100,
    ),
}


class Batch(NamedTuple):
    """A batch of N images; a manifest names each by batch, row and, where it has one, its original name."""

    images: np.ndarray  # uint8 (N, 32, 32, 3)
    labels: np.ndarray  # int64 (N,)
    names: list[str]


def batch_from(path: Path, content: dict[str, Any], variant: Variant) -> Batch:
    """Check the dictionary that the batch's file ``path`` holds."""
    labels, data = content.get(variant.labels), content.get("data")
    known = range(variant.n_classes)
    if not isinstance(labels, list) or not all(type(label) is int and label in known for label in labels):
        raise _not_published(path, f"'{variant.labels}' is no list of labels 0 to {variant.n_classes - 1}")
    shape = (len(labels), 3 * SIDE**2)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != shape:
        raise _not_published(path, f"'data' is not uint8 {shape}, a row for each of '{variant.labels}'")
    filenames = content.get("filenames", [""] * len(labels))
    if not _are_names(filenames, len(labels)):
        raise _not_published(path, f"'filenames' is no list of {len(labels)} names")
    return Batch(
        images=data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1),
        labels=np.array(labels, dtype=np.int64),
        names=[f"{path.name}/{row} {_text(name)}".rstrip() for row, name in enumerate(filenames)],
    )


def classes_from(path: Path, content: dict[str, Any], variant: Variant) -> list[str]:
    """The names of the classes, in the order of the labels, from the dictionary of the file that has them."""
    names = content.get(variant.names)
    if not _are_names(names, variant.n_classes) or len(set(names)) != len(names):
        raise _not_published(path, f"'{variant.names}' is no list of {variant.n_classes} different names")
    return [_text(name) for name in names]


def _are_names(values: object, n: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == n
        and all(isinstance(value, str | bytes) for value in values)
    )


def _text(name: str | bytes) -> str:
    return name.decode("latin1") if isinstance(name, bytes) else name


def _not_published(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}; {FETCH_AGAIN}")
