"""Small STL-10 files in the published layout, written without the code under test."""

import numpy as np

COUNTS = {"train": 12, "unlabelled": 7, "test": 5}
FILES = {"train": "train", "unlabelled": "unlabeled", "test": "test"}
CLASSES = [
    "airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck",
]  # fmt: skip


def images(split):
    """uint8 (N, 96, 96, 3), the right way up: random, with a white bar along the top and a red left edge."""
    pixels = np.random.default_rng(len(split)).integers(0, 200, (COUNTS[split], 96, 96, 3), dtype=np.uint8)
    pixels[:, :8] = 255
    pixels[:, 8:, :8] = (255, 0, 0)
    return pixels


def labels(split):
    """Counted from 0."""
    return np.arange(COUNTS[split], dtype=np.uint8) % 10


def write_stl10(root):
    """Write a whole publication; returns its folder."""
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    for split, name in FILES.items():
        # channel by channel, and each channel column by column
        (folder / f"{name}_X.bin").write_bytes(images(split).transpose(0, 3, 2, 1).tobytes())
        if split != "unlabelled":
            (folder / f"{name}_y.bin").write_bytes((labels(split) + 1).tobytes())
    (folder / "class_names.txt").write_text("\n".join(CLASSES) + "\n")
    folds = [sorted({n % 12, (3 * n + 1) % 12}) for n in range(10)]
    (folder / "fold_indices.txt").write_text("".join(" ".join(map(str, fold)) + " \n" for fold in folds))
    return folder
