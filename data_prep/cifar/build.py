"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) from the published Python files, whole or as a long tail.

    python -m data_prep build --preset paper --dataset cifar10_lt --root data/cifar10 \\
        --store cifar10_lt.h5 --manifest cifar10_lt.csv --report cifar10_lt.md

The classes of CIFAR-100 are its 100 fine ones. A long tail (CIFAR-10-LT, CIFAR-100-LT) is cut out of the
training images; the test images are left as they are. One process reads everything in seconds, so
``--workers`` changes nothing.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cld.data import Split, StoreInfo
from cld.runtime.progress import progress
from data_prep.cifar.batches import Batch, batch_from, classes_from
from data_prep.cifar.layout import VARIANTS
from data_prep.cifar.long_tail import class_sizes, long_tail_rows
from data_prep.cifar.pickles import read_pickle
from data_prep.common.array_store import write_array_store
from data_prep.common.build_command import parse_build
from data_prep.common.build_lock import only_build
from data_prep.common.build_record import BuildRecord, Target
from data_prep.common.settings import Settings
from data_prep.common.source_files import published_md5s, read_file, require_folder


def build_cifar(root: str | Path, settings: Settings, target: Target, workers: int = 1) -> StoreInfo:
    """Build a store from the published files.

    Args:
        root: folder with ``cifar-10-batches-py`` or ``cifar-100-python``.
        settings: which publication, and how much of it.
        target: the files to write.
        workers: without effect; all builders have it.

    Raises:
        InputError: a file is missing, cannot be read or is not what was published, or the store cannot be
            written; no store is written then.
    """
    record = BuildRecord(Path(root), target, settings, "images", settings.expect)
    with only_build(target.store):
        classes, batches = _read(record, settings)
        record.details["Batches"] = [
            {"batch": batch.name, "split": split, "images": len(batch.labels)}
            for split, group in batches.items()
            for batch in group
        ]
        record.notes += _repeated_names([batch for group in batches.values() for batch in group])
        splits = {split: _joined(group) for split, group in batches.items()}
        names = {
            split: [name for batch in group for name in batch.image_names()]
            for split, group in batches.items()
        }
        record.require_counts({split: images.labels for split, images in splits.items()})
        record.total = sum(map(len, splits.values()))
        if settings.imbalance != 1:
            rows = _long_tail(record, settings, splits["train"].labels, classes)
            splits["train"] = Split(splits["train"].images[rows], splits["train"].labels[rows])
            names["train"] = [names["train"][row] for row in rows.tolist()]
        return write_array_store(record, splits, names, classes)


def main() -> None:
    """The command ``python -m data_prep build``."""
    build_cifar(**parse_build(__doc__))


def _read(record: BuildRecord, settings: Settings) -> tuple[list[str], dict[str, list[Batch]]]:
    """The classes and, by split, the batches. Every file is held to its MD5 before any is unpickled."""
    root, variant = record.root, VARIANTS[settings.variant]
    folder = require_folder(root, variant.folder)
    md5s = published_md5s(record.target.preset, settings.variant) if settings.check_md5 else {}
    batch_names = [name for group in variant.batches.values() for name in group]
    paths = [folder / name for name in (variant.meta, *batch_names)]
    contents = {}
    with progress(f"read {variant.folder}", len(paths), "files") as bar:
        for path in paths:
            contents[path], digest = read_file(path, root, md5s.get(path.relative_to(root).as_posix()))
            record.files.append(digest)
            bar.advance()

    def unpickled(path: Path) -> dict[str, object]:
        return read_pickle(path, contents.pop(path))

    meta = folder / variant.meta
    classes = classes_from(meta, unpickled(meta), variant)
    batches = {
        split: [batch_from(folder / name, unpickled(folder / name), variant) for name in group]
        for split, group in variant.batches.items()
    }
    return classes, batches


def _joined(batches: Sequence[Batch]) -> Split:
    return Split(
        np.concatenate([batch.images for batch in batches]),
        np.concatenate([batch.labels for batch in batches]),
    )


def _repeated_names(batches: Sequence[Batch]) -> list[str]:
    counts = Counter(name for batch in batches for name in batch.filenames or ())
    repeated = {name: n for name, n in counts.items() if n > 1}
    if not repeated:
        return []
    first = ", ".join(sorted(repeated)[:3]) + (" …" if len(repeated) > 3 else "")
    return [
        f"{sum(repeated.values())} images share their file name with another ({len(repeated)} names: {first})"
    ]


def _long_tail(
    record: BuildRecord, settings: Settings, labels: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """The rows of the training images that a long tail keeps; the report gets its table."""
    upstream = np.bincount(labels, minlength=len(classes))
    sizes = class_sizes(int(upstream.max()), len(classes), settings.imbalance)
    rows = long_tail_rows(labels, sizes, settings.imbalance_seed)
    kept = np.bincount(labels[rows], minlength=len(classes))
    counts = zip(classes, upstream.tolist(), sizes.tolist(), kept.tolist(), strict=True)
    record.details["Long tail"] = [
        {"class": name, "upstream": n, "by the rule": size, "kept": n_kept}
        for name, n, size, n_kept in counts
    ]
    if n_short := int((kept < sizes).sum()):
        record.notes.append(f"{n_short} classes have fewer images than the long tail's rule gives them")
    if record.expected.get("train"):
        record.expected = {**record.expected, "train": len(rows)}
        record.expected_by = "published, cut to the long tail"
    return rows
