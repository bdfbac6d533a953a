"""Write pictures as CIFAR-10 and CIFAR-100 are published for Python."""

import pickle
import pickletools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.common.settings import Settings
from data_prep.synthetic.pictures.class_looks import Look, class_looks
from data_prep.synthetic.pictures.picture_set import draw_set

SIDE = 32
N_BATCHES = 5
PER_SUPERCLASS = 5
TRAIN, TEST = 0, 1
_PYTHON_2 = {"SHORT_BINBYTES": pickle.SHORT_BINSTRING, "BINBYTES": pickle.BINSTRING}


def write_cifar10(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write ``cifar-10-batches-py/`` into the folder ``root``: ten classes, each of its own outline."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    looks, n_each = class_looks(10, settings.seed), settings.train // N_BATCHES
    pictures, labels = draw_set(looks, settings.train, SIDE, settings.seed, TRAIN, workers, "cifar10 train")
    for number in range(N_BATCHES):
        part = slice(number * n_each, (number + 1) * n_each)
        batch = _batch(f"training batch {number + 1} of {N_BATCHES}", looks, labels[part], pictures[part])
        _write_pickle(folder / f"data_batch_{number + 1}", batch | {b"labels": labels[part].tolist()})
    pictures, labels = draw_set(looks, settings.test, SIDE, settings.seed, TEST, workers, "cifar10 test")
    batch = _batch("testing batch 1 of 1", looks, labels, pictures)
    _write_pickle(folder / "test_batch", batch | {b"labels": labels.tolist()})
    names = [look.name.encode() for look in looks]
    meta = {b"num_cases_per_batch": n_each, b"label_names": names, b"num_vis": 3 * SIDE * SIDE}
    _write_pickle(folder / "batches.meta", meta)


def write_cifar100(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write ``cifar-100-python/`` into the folder ``root``: a superclass is an outline in several patterns.

    Classes are numbered by name, so those of a superclass are neighbours.
    """
    folder = root / "cifar-100-python"
    folder.mkdir()
    looks = sorted(class_looks(100, settings.seed, PER_SUPERCLASS), key=lambda look: look.name)
    for split, name, n in ((TRAIN, "train", settings.train), (TEST, "test", settings.test)):
        pictures, labels = draw_set(looks, n, SIDE, settings.seed, split, workers, f"cifar100 {name}")
        batch = _batch(f"{name}ing batch 1 of 1", looks, labels, pictures)
        batch |= {b"fine_labels": labels.tolist(), b"coarse_labels": (labels // PER_SUPERCLASS).tolist()}
        _write_pickle(folder / name, batch)
    superclasses = [look.outline.encode() for look in looks[::PER_SUPERCLASS]]
    names = [look.name.encode() for look in looks]
    _write_pickle(folder / "meta", {b"fine_label_names": names, b"coarse_label_names": superclasses})


def _batch(name: str, looks: Sequence[Look], labels: np.ndarray, pictures: np.ndarray) -> dict[bytes, object]:
    """What a batch of either dataset holds, without the labels."""
    files = [f"{looks[label].name}_s_{i:06d}.png".encode() for i, label in enumerate(labels)]
    data = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    return {b"batch_label": name.encode(), b"data": data, b"filenames": files}


def _write_pickle(path: Path, content: dict[bytes, object]) -> None:
    """Write a pickle whose bytes are the text of Python 2, as in the published files.

    So ``encoding="bytes"`` reads bytes, and ``"latin1"`` text. Python 2's opcodes for text differ from those
    for bytes in nothing but the code.
    """
    pickled = bytearray(pickle.dumps(content, protocol=3))
    for opcode, _, position in list(pickletools.genops(bytes(pickled))):
        if opcode.name in _PYTHON_2:
            pickled[position : position + 1] = _PYTHON_2[opcode.name]
    pickled[: len(pickle.PROTO) + 1] = pickle.PROTO + b"\x02"
    # where NumPy's arrays came from when the published files were written
    path.write_bytes(pickled.replace(b"cnumpy._core.", b"cnumpy.core.", 1))
