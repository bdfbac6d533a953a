"""STL-10 (Coates et al., AISTATS 2011) from the published binary files: train, unlabelled and test.

The images of split ``unlabelled`` have label -1. The 3 GB of the published files are read once and are in
memory once, 8 bits a value; one process does it as fast as they can be hashed, so the number of workers
changes nothing. The ten folds of the training images are not used.
"""

from pathlib import Path

import numpy as np

from cld.data import Split, StoreInfo
from cld.runtime.progress import progress
from data_prep.common.build_record import BuildRecord, Target
from data_prep.common.settings import Settings
from data_prep.common.source_files import read_file, require_folder
from data_prep.stl10.published_files import class_names_from, image_count, labels_from, read_images

FOLDER = "stl10_binary"
IMAGES = {"train": "train_X.bin", "unlabelled": "unlabeled_X.bin", "test": "test_X.bin"}
LABELS = {"train": "train_y.bin", "test": "test_y.bin"}
CLASS_NAMES = "class_names.txt"
FOLDS = "fold_indices.txt"


def build_stl10(root: str | Path, settings: Settings, target: Target, workers: int = 1) -> StoreInfo:
    """Build a store from the published files in ``stl10_binary`` of ``root``.

    Raises:
        InputError: a file is missing, cannot be read or is not what was published, or the store cannot be
            written; no store is written then.
    """
    record = BuildRecord(Path(root), target, settings, "images", settings.expect)
    folder = require_folder(record.root, FOLDER)
    md5s = record.published_md5s()

    def read(file: str) -> bytes:
        content, digest = read_file(folder / file, record.root, md5s.get(f"{FOLDER}/{file}"))
        record.files.append(digest)
        return content

    counts = {split: image_count(folder / file) for split, file in IMAGES.items()}
    classes = class_names_from(folder / CLASS_NAMES, read(CLASS_NAMES))
    labels = {split: np.full(n, -1, dtype=np.int64) for split, n in counts.items()}
    for split, file in LABELS.items():
        labels[split] = labels_from(folder / file, read(file), counts[split], len(classes))
    read(FOLDS)  # named by its checksum in the store's sources
    record.require_counts(labels)  # before the images, which take a while
    record.total = sum(counts.values())
    splits, names = {}, {}
    with progress(f"read {FOLDER}", record.total, "images") as bar:
        for split, file in IMAGES.items():
            published = md5s.get(f"{FOLDER}/{file}")
            images, digest = read_images(folder / file, record.root, published, bar.advance)
            record.files.append(digest)
            splits[split] = Split(images, labels[split])
            names[split] = [f"{file}/{row}" for row in range(len(images))]
    return record.write_store_of_arrays(splits, names, classes)
