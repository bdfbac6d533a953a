"""Small CIFAR files in the published layout, written without the code under test."""

import pickle
import struct

import numpy as np

FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
META = {"cifar10": "batches.meta", "cifar100": "meta"}
TRAIN = {"cifar10": [f"data_batch_{n}" for n in range(1, 6)], "cifar100": ["train"]}
TEST = {"cifar10": "test_batch", "cifar100": "test"}
CLASSES = {"cifar10": 10, "cifar100": 100}


def write_pickle(path, value, style="python2"):
    """Write ``value`` as ``python2`` did, with numpy's names of that time, or as ``python3`` does."""
    if style == "python3":
        path.write_bytes(pickle.dumps(value, protocol=2))
    else:
        content = pickle.PROTO + b"\x02" + python2_pickle(value) + pickle.STOP
        path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


def python2_pickle(value):
    """The opcodes of ``value``; bytes and text are what Python 2 wrote for its strings."""
    if isinstance(value, bytes | str):
        text = value if isinstance(value, bytes) else value.encode("latin1")
        return pickle.BINSTRING + struct.pack("<i", len(text)) + text
    if isinstance(value, list | tuple):
        head, tail = (b"](", b"e") if isinstance(value, list) else (b"(", b"t")
        return head + b"".join(map(python2_pickle, value)) + tail
    if isinstance(value, dict):
        items = (python2_pickle(key) + python2_pickle(item) for key, item in value.items())
        return b"}(" + b"".join(items) + b"u"
    if callable(value):
        return f"c{value.__module__}\n{value.__name__}\n".encode()
    if isinstance(value, np.ndarray | np.dtype):
        function, arguments, state = map(python2_pickle, value.__reduce__())
        return function + arguments + b"R" + state + b"b"
    return pickle.dumps(value, protocol=2)[2:-1]  # numbers and None


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
