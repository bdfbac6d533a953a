"""Write pictures as CIFAR-10 and CIFAR-100 are published for Python."""

import io
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.common.settings import Settings
from data_prep.synthetic.pictures.looks import Look, class_looks
from data_prep.synthetic.pictures.sets import draw_set
from data_prep.synthetic.pictures.streams import balanced_labels

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
    labels = balanced_labels(settings.train, len(looks), settings.seed, TRAIN)
    pictures = draw_set(looks, labels, SIDE, settings.seed, TRAIN, workers, "cifar10 train")
    for number in range(N_BATCHES):
        part = slice(number * n_each, (number + 1) * n_each)
        label = f"training batch {number + 1} of {N_BATCHES}"
        content = _batch(label, looks, labels[part], pictures[part], part.start) | {
            b"labels": labels[part].tolist()
        }
        _write_pickle(folder / f"data_batch_{number + 1}", content)
    labels = balanced_labels(settings.test, len(looks), settings.seed, TEST)
    pictures = draw_set(looks, labels, SIDE, settings.seed, TEST, workers, "cifar10 test")
    content = _batch("testing batch 1 of 1", looks, labels, pictures, 0) | {b"labels": labels.tolist()}
    _write_pickle(folder / "test_batch", content)
    names = [look.name.encode() for look in looks]
    meta = {b"num_cases_per_batch": n_each, b"label_names": names, b"num_vis": 3 * SIDE * SIDE}
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
        labels = balanced_labels(n, len(looks), settings.seed, split)
        pictures = draw_set(looks, labels, SIDE, settings.seed, split, workers, f"cifar100 {name}")
        label = f"{name}ing batch 1 of 1"
        content = _batch(label, looks, labels, pictures, 0) | {
            b"fine_labels": labels.tolist(),
            b"coarse_labels": coarse[labels].tolist(),
        }
        _write_pickle(folder / name, content)
    meta = {
        b"fine_label_names": [look.name.encode() for look in looks],
        b"coarse_label_names": [name.encode() for name in superclasses],
    }
    _write_pickle(folder / "meta", meta)


def _batch(
    name: str, looks: Sequence[Look], labels: np.ndarray, pictures: np.ndarray, first: int
) -> dict[bytes, object]:
    """What a batch of either dataset holds, without the labels."""
    files = [f"{looks[label].name}_s_{first + i:06d}.png".encode() for i, label in enumerate(labels)]
    data = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).reshape(len(pictures), -1)
    return {b"batch_label": name.encode(), b"data": data, b"filenames": files}


class _Python2Pickler(pickle._Pickler):
    """Writes text as Python 2 did, which today's pickle module only reads.

    So the files are read as the published ones are: ``encoding="bytes"`` gives bytes, ``"latin1"`` text.
    """

    dispatch = pickle._Pickler.dispatch.copy()

    def _save_string(self, text: bytes | str) -> None:
        raw = text if isinstance(text, bytes) else text.encode("latin1")
        if len(raw) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(raw)]) + raw)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = _save_string


def _write_pickle(path: Path, content: dict[bytes, object]) -> None:
    buffer = io.BytesIO()
    _Python2Pickler(buffer, protocol=2).dump(content)
    # where NumPy's arrays came from when the published files were written
    path.write_bytes(buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1))
