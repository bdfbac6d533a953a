"""Write pictures as CIFAR-10 and CIFAR-100 are published for Python."""

import pickle
import pickletools
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.common.settings import Settings
from data_prep.synthetic.pictures.class_looks import Look, class_looks
from data_prep.synthetic.pictures.picture_set import draw_set

SIDE = 32
N_BATCHES = 5
N_SUPERCLASSES = 20
TRAIN, TEST = 0, 1


def write_cifar10(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write ``cifar-10-batches-py/`` into the folder ``root``: ten classes, each of its own silhouette."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    looks = class_looks(10, settings.seed)
    n_each = settings.train // N_BATCHES
    pictures, labels = draw_set(looks, settings.train, SIDE, settings.seed, TRAIN, workers, "cifar10 train")
    for number in range(N_BATCHES):
        part = slice(number * n_each, (number + 1) * n_each)
        label = f"training batch {number + 1} of {N_BATCHES}"
        content = _batch(label, looks, labels[part], pictures[part], part.start)
        content["labels"] = labels[part].tolist()
        _write_pickle(folder / f"data_batch_{number + 1}", content)
    pictures, labels = draw_set(looks, settings.test, SIDE, settings.seed, TEST, workers, "cifar10 test")
    content = _batch("testing batch 1 of 1", looks, labels, pictures, 0)
    content["labels"] = labels.tolist()
    _write_pickle(folder / "test_batch", content)
    names = [look.name for look in looks]
    meta = {"num_cases_per_batch": n_each, "label_names": names, "num_vis": 3 * SIDE * SIDE}
    _write_pickle(folder / "batches.meta", meta)


def write_cifar100(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write ``cifar-100-python/`` into the folder ``root``: a superclass is a silhouette in several surfaces.

    Classes are numbered by name, so those of a superclass are neighbours.
    """
    folder = root / "cifar-100-python"
    folder.mkdir()
    looks = sorted(class_looks(100, settings.seed, 100 // N_SUPERCLASSES), key=lambda look: look.name)
    superclasses = sorted({look.silhouette for look in looks})
    coarse = np.array([superclasses.index(look.silhouette) for look in looks])
    for split, name, n in ((TRAIN, "train", settings.train), (TEST, "test", settings.test)):
        pictures, labels = draw_set(looks, n, SIDE, settings.seed, split, workers, f"cifar100 {name}")
        label = f"{name}ing batch 1 of 1"
        content = _batch(label, looks, labels, pictures, 0)
        content |= {"fine_labels": labels.tolist(), "coarse_labels": coarse[labels].tolist()}
        _write_pickle(folder / name, content)
    meta = {"fine_label_names": [look.name for look in looks], "coarse_label_names": superclasses}
    _write_pickle(folder / "meta", meta)


def _batch(
    name: str, looks: Sequence[Look], labels: np.ndarray, pictures: np.ndarray, first: int
) -> dict[str, object]:
    """What a batch of either dataset holds, without the labels."""
    files = [f"{looks[label].name}_s_{first + i:06d}.png" for i, label in enumerate(labels)]
    data = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    return {"batch_label": name, "data": _Python2Array(data), "filenames": files}


class _Python2Array:
    """An array that is pickled as NumPy did under Python 2, its bytes as text."""

    def __init__(self, array: np.ndarray):
        self._array = array

    def __reduce__(self) -> tuple:
        reduced: tuple = self._array.__reduce__()  # type: ignore[assignment]
        function, arguments, (version, shape, dtype, is_fortran, raw) = reduced
        arguments = (*arguments[:2], arguments[2].decode("latin1"))
        return function, arguments, (version, shape, dtype, is_fortran, raw.decode("latin1"))


def _write_pickle(path: Path, content: Mapping[str, object]) -> None:
    """Write a pickle with the text of Python 2, as the published files have.

    So ``encoding="bytes"`` reads bytes, and ``"latin1"`` text. Today's pickle module writes Unicode instead.
    """
    pickled = pickle.dumps(content, protocol=2)
    opcodes = list(pickletools.genops(pickled))
    ends = [start for _, _, start in opcodes[1:]] + [len(pickled)]
    parts = []
    for (opcode, value, start), end in zip(opcodes, ends, strict=True):
        part = pickled[start:end]
        if opcode.name == "BINUNICODE":
            raw = value.encode("latin1")
            is_short = len(raw) < 256
            head = pickle.SHORT_BINSTRING if is_short else pickle.BINSTRING
            part = head + struct.pack("<B" if is_short else "<i", len(raw)) + raw
        elif opcode.name == "GLOBAL":
            # where NumPy's arrays came from when the published files were written
            part = part.replace(b"numpy._core.", b"numpy.core.")
        parts.append(part)
    path.write_bytes(b"".join(parts))
