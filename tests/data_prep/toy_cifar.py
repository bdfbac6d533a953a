"""Small CIFAR files in the published layout, written without the code under test."""

import pickle
import struct

import numpy as np

FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
META = {"cifar10": "batches.meta", "cifar100": "meta"}
TRAIN = {"cifar10": [f"data_batch_{n}" for n in range(1, 6)], "cifar100": ["train"]}
TEST = {"cifar10": "test_batch", "cifar100": "test"}
CLASSES = {"cifar10": 10, "cifar100": 100}


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, which is how the published files have them."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_string


def write_pickle(path, value, style="python2"):
    """Write ``value`` as ``python2`` did, with numpy's names of that time, or as ``python3`` does."""
    with open(path, "wb") as file:
        (Python2Pickler if style == "python2" else pickle.Pickler)(file, protocol=2).dump(value)
    if style == "python2":
        path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


def batch(variant, n, seed, prefix="image"):
    """The dictionary of one batch of random pixels; labels go round."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 3072), dtype=np.uint8)
    labels = [i % CLASSES[variant] for i in range(n)]
    content = {
        b"batch_label": b"a batch",
        b"data": pixels,
        b"filenames": [b"%s_%06d.png" % (prefix.encode(), i) for i in range(n)],
    }
    if variant == "cifar10":
        return content | {b"labels": labels}
    return content | {b"fine_labels": labels, b"coarse_labels": [label // 5 for label in labels]}


def class_names(variant):
    return [b"class_%d" % label for label in range(CLASSES[variant])]


def write_cifar(root, variant="cifar10", train=20, test=10, style="python2"):
    """Write a whole publication with ``train`` images a training batch; returns its folder."""
    folder = root / FOLDERS[variant]
    folder.mkdir(parents=True)
    for seed, name in enumerate((*TRAIN[variant], TEST[variant])):
        n = test if name == TEST[variant] else train
        write_pickle(folder / name, batch(variant, n, seed, name), style)
    key = b"label_names" if variant == "cifar10" else b"fine_label_names"
    write_pickle(folder / META[variant], {key: class_names(variant)}, style)
    return folder
