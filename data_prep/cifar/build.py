"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) from the published Python files, whole or as a long tail.

The classes of CIFAR-100 are its 100 fine ones. A long tail (CIFAR-10-LT, CIFAR-100-LT) is cut out of the
training images; the test images are left as they are. One process reads everything in seconds, so the number
of workers changes nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cld.data import Split, StoreInfo
from cld.runtime.progress import progress
from data_prep.cifar.batches import VARIANTS, Batch, batch_from, classes_from
from data_prep.cifar.long_tail import class_sizes, long_tail_rows
from data_prep.cifar.pickles import read_pickle
from data_prep.common.build_record import BuildRecord, Target
from data_prep.common.settings import Settings
from data_prep.common.source_files import read_file, require_folder


def build_cifar(root: str | Path, settings: Settings, target: Target, workers: int = 1) -> StoreInfo:
    """Build a store from the published files in ``cifar-10-batches-py`` or ``cifar-100-python`` of ``root``.

    Raises:
        InputError: a file is missing, cannot be read or is not what was published, or the store cannot be
            written; no store is written then.
    """
    record = BuildRecord(Path(root), target, settings, "images", settings.expect)
    classes, batches = _read(record, settings)
    record.details["Batches"] = []
    splits, names = {}, {}
    for split, group in VARIANTS[settings.variant].batches.items():
        images, labels, of_images = zip(*(batches[name] for name in group), strict=True)
        splits[split] = Split(np.concatenate(images), np.concatenate(labels))
        names[split] = [name for part in of_images for name in part]
        record.details["Batches"] += [
            {"batch": name, "split": split, "images": len(batches[name].labels)} for name in group
        ]
    record.require_counts(splits)
    record.total = sum(map(len, splits.values()))
    if settings.imbalance != 1:
        rows = _long_tail(record, settings, splits["train"].labels, classes)
        splits["train"] = Split(splits["train"].images[rows], splits["train"].labels[rows])
        names["train"] = [names["train"][row] for row in rows.tolist()]
    return record.write_store_of_arrays(splits, names, classes)


def _read(record: BuildRecord, settings: Settings) -> tuple[list[str], dict[str, Batch]]:
    """The classes and the batches by name. MD5s are compared before anything is unpickled."""
    root, variant = record.root, VARIANTS[settings.variant]
    folder = require_folder(root, variant.folder)
    md5s = record.published_md5s()
    batch_names = [name for group in variant.batches.values() for name in group]
    contents = {}
    with progress(f"read {variant.folder}", 1 + len(batch_names), "files") as bar:
        for name in (variant.meta, *batch_names):
            contents[name], digest = read_file(folder / name, root, md5s.get(f"{variant.folder}/{name}"))
            record.files.append(digest)
            bar.advance()

    def unpickled(name: str) -> dict[str, object]:
        return read_pickle(folder / name, contents.pop(name))

    classes = classes_from(folder / variant.meta, unpickled(variant.meta), variant)
    return classes, {name: batch_from(folder / name, unpickled(name), variant) for name in batch_names}


def _long_tail(
    record: BuildRecord, settings: Settings, labels: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """The rows of the training images that a long tail keeps; the report gets its table."""
    upstream = np.bincount(labels, minlength=len(classes))
    sizes = class_sizes(int(upstream.max()), len(classes), settings.imbalance)
    rows = long_tail_rows(labels, sizes, settings.imbalance_seed)
    kept = np.bincount(labels[rows], minlength=len(classes))
    record.details["Long tail"] = [
        {"class": name, "upstream": n, "by the rule": size, "kept": n_kept}
        for name, n, size, n_kept in zip(
            classes, upstream.tolist(), sizes.tolist(), kept.tolist(), strict=True
        )
    ]
    if n_short := int((kept < sizes).sum()):
        record.notes.append(f"{n_short} classes have fewer images than the long tail's rule gives them")
    if record.expected.get("train"):
        record.expected = {**record.expected, "train": len(rows)}
        record.expected_by = "published, cut to the long tail"
    return rows
