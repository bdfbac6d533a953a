"""One batch: its images the right way up, its labels, its images' names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.cifar.layout import Variant
from data_prep.common.source_files import FETCH_AGAIN

SIDE = 32


@dataclass(frozen=True)
class Batch:
    """A batch of N images.

    Attributes:
        name: of its file.
        images: uint8 (N, 32, 32, 3).
        labels: int64 (N,).
        filenames: the N images' names in the collection they come from; None where the file has none.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    filenames: Sequence[str] | None

    def image_names(self) -> list[str]:
        """What a manifest calls the images: batch, row, name."""
        filenames = self.filenames or [""] * len(self.labels)
        return [f"{self.name}/{row} {name}".rstrip() for row, name in enumerate(filenames)]


def batch_from(path: Path, content: dict[str, object], variant: Variant) -> Batch:
    """Check the dictionary that a batch's file holds.

    Args:
        path: the file, for messages.
        content: as from :func:`data_prep.cifar.pickles.read_pickle`.
        variant: the publication.

    Raises:
        InputError: something is missing, or is not what the publication has.
    """
    data, labels = (_item(path, content, key) for key in ("data", variant.labels))
    known = range(variant.n_classes)
    if not isinstance(labels, list) or not all(type(label) is int and label in known for label in labels):
        raise _not_published(path, f"'{variant.labels}' is no list of labels 0 to {variant.n_classes - 1}")
    shape = (len(labels), 3 * SIDE**2)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != shape:
        raise _not_published(path, f"'data' is not uint8 {shape}, a row for each of '{variant.labels}'")
    filenames = content.get("filenames")
    if filenames is not None:
        filenames = _texts(path, "filenames", filenames)
        if len(filenames) != len(labels):
            raise _not_published(path, f"'filenames' has {len(filenames)} entries for {len(labels)} images")
    images = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return Batch(path.name, images, np.array(labels, dtype=np.int64), filenames)


def classes_from(path: Path, content: dict[str, object], variant: Variant) -> list[str]:
    """The names of the classes, in the order of the labels, from the dictionary of the file that has them.

    Raises:
        InputError: they are missing, or are not as many different names as there are classes.
    """
    names = _texts(path, variant.names, _item(path, content, variant.names))
    if len(names) != variant.n_classes or len(set(names)) != len(names):
        raise _not_published(
            path,
            f"'{variant.names}' has {len(names)} names, {len(set(names))} of them different, and must have "
            f"{variant.n_classes}",
        )
    return names


def _item(path: Path, content: dict[str, object], key: str) -> object:
    if key not in content:
        raise _not_published(path, f"has no '{key}' (it has {', '.join(content) or 'nothing'})")
    return content[key]


def _texts(path: Path, key: str, values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str | bytes) for value in values):
        raise _not_published(path, f"'{key}' is no list of names")
    return [value.decode("latin1") if isinstance(value, bytes) else value for value in values]


def _not_published(path: Path, what: str) -> InputError:
    return InputError(f"{path}: {what}; {FETCH_AGAIN}")
