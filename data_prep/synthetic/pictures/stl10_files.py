"""Write pictures as STL-10 is published in binary files."""

from pathlib import Path

import numpy as np

from data_prep.common.settings import Settings
from data_prep.synthetic.pictures.class_looks import class_looks
from data_prep.synthetic.pictures.picture_set import draw_set
from data_prep.synthetic.pictures.random_numbers import Stream, generator

SIDE = 96
N_CLASSES = 10
N_UNLABELLED_CLASSES = 15
"""Classes of the pictures without labels: the ten, and half as many others."""
N_FOLDS = 10
TRAIN, TEST, UNLABELLED = 0, 1, 2


def write_stl10(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write ``stl10_binary/`` into the folder ``root``."""
    folder = root / "stl10_binary"
    folder.mkdir()
    looks = class_looks(N_UNLABELLED_CLASSES, settings.seed)
    for name, split, n, n_classes in (
        ("train", TRAIN, settings.train, N_CLASSES),
        ("test", TEST, settings.test, N_CLASSES),
        ("unlabeled", UNLABELLED, settings.unlabelled, N_UNLABELLED_CLASSES),
    ):
        title = f"stl10 {name}"
        pictures, labels = draw_set(looks[:n_classes], n, SIDE, settings.seed, split, workers, title)
        pictures.transpose(0, 3, 2, 1).tofile(folder / f"{name}_X.bin")  # plane by plane, column by column
        if split != UNLABELLED:
            (labels + 1).astype(np.uint8).tofile(folder / f"{name}_y.bin")
    rng = generator(settings.seed, Stream.FILES)
    folds = [np.sort(rng.permutation(settings.train)[: settings.train // 5]) for _ in range(N_FOLDS)]
    lines = [" ".join(map(str, fold)) + " \n" for fold in folds]
    (folder / "fold_indices.txt").write_text("".join(lines), encoding="utf-8")
    names = [f"{look.name}\n" for look in looks[:N_CLASSES]]
    (folder / "class_names.txt").write_text("".join(names), encoding="utf-8")
