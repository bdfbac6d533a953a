"""STL-10 (Coates et al., AISTATS 2011) from the published binary files: train, unlabelled and test.

    python -m data_prep build --preset paper --dataset stl10 --root data/stl10 \\
        --store stl10.h5 --manifest stl10.csv --report stl10.md

The images of split ``unlabelled`` have label -1. The 3 GB of the published files are read once and are in
memory once, 8 bits a value; one process does it as fast as they can be hashed, so ``--workers`` changes
nothing. The ten folds of the training images are checked and reported; nothing here trains on them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cld.data import Split, StoreInfo
from cld.runtime.progress import progress
from data_prep.common.array_store import write_array_store
from data_prep.common.build_command import parse_build
from data_prep.common.build_lock import only_build
from data_prep.common.build_record import BuildRecord, Target
from data_prep.common.settings import Settings
from data_prep.common.source_files import published_md5s, require_folder
from data_prep.stl10.binary_files import image_count, read_images, read_labels
from data_prep.stl10.text_files import read_class_names, read_folds

FOLDER = "stl10_binary"
IMAGES = {"train": "train_X.bin", "unlabelled": "unlabeled_X.bin", "test": "test_X.bin"}
LABELS = {"train": "train_y.bin", "test": "test_y.bin"}
CLASS_NAMES = "class_names.txt"
FOLDS = "fold_indices.txt"


def build_stl10(root: str | Path, settings: Settings, target: Target, workers: int = 1) -> StoreInfo:
    """Build a store from the published files.

    Args:
        root: folder with ``stl10_binary``.
        settings: what is expected of the files.
        target: the files to write.
        workers: without effect; all builders have it.

    Raises:
        InputError: a file is missing, cannot be read or is not what was published, or the store cannot be
            written; no store is written then.
    """
    record = BuildRecord(Path(root), target, settings, "images", settings.expect)
    with only_build(target.store):
        folder = require_folder(record.root, FOLDER)
        md5s = published_md5s(target.preset, "stl10") if settings.check_md5 else {}
        md5s = {Path(path).name: md5 for path, md5 in md5s.items()}
        classes, labels = _read_labels(record, folder, md5s)
        record.require_counts(labels)  # before the images, which take a while
        record.total = sum(map(len, labels.values()))
        splits, names = {}, {}
        with progress(f"read {FOLDER}", record.total, "images") as bar:
            for split, file in IMAGES.items():
                images, digest = read_images(folder / file, record.root, md5s.get(file), bar.advance)
                record.files.append(digest)
                splits[split] = Split(images, labels[split])
                names[split] = [f"{file}/{row}" for row in range(len(images))]
        return write_array_store(record, splits, names, classes)


def main() -> None:
    """The command ``python -m data_prep build``."""
    build_stl10(**parse_build(__doc__))


def _read_labels(
    record: BuildRecord, folder: Path, md5s: Mapping[str, str | None]
) -> tuple[list[str], dict[str, np.ndarray]]:
    """The small files: the classes and, by split, the labels; the folds go to the report."""
    counts = {split: image_count(folder / file) for split, file in IMAGES.items()}
    classes, digest = read_class_names(folder / CLASS_NAMES, record.root, md5s.get(CLASS_NAMES))
    record.files.append(digest)
    labels = {split: np.full(n, -1, dtype=np.int64) for split, n in counts.items()}
    for split, file in LABELS.items():
        labels[split], digest = read_labels(
            folder / file, record.root, md5s.get(file), counts[split], len(classes)
        )
        record.files.append(digest)
    folds, digest = read_folds(folder / FOLDS, record.root, md5s.get(FOLDS), counts["train"])
    record.files.append(digest)
    record.details["Folds"] = [{"fold": number, "images": len(fold)} for number, fold in enumerate(folds)]
    return classes, labels
