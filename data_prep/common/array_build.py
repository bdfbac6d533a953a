"""Finishing a store of small images of one size: counts, manifest, report and, last, the store."""

from collections.abc import Mapping, Sequence, Sized

import numpy as np

from cld.data import Split, StoreInfo, write_store
from cld.runtime.errors import InputError
from data_prep.common.manifest import write_manifest
from data_prep.common.record import BuildRecord
from data_prep.common.report import write_report


def finish_arrays(
    record: BuildRecord,
    splits: Mapping[str, Split],
    names: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> StoreInfo:
    """Write manifest, report and store.

    Args:
        record: of the build; its ``expected`` counts must be met, its problems have been checked.
        splits: by name, in the order of the manifest.
        names: by split, each image's name upstream.
        classes: names, in the order of the labels.
        mean, std: what views are normalised with, per channel in [0, 1]; None: measured on ``train``.

    Raises:
        InputError: a split is empty, or has another number of images than expected.
    """
    labels = {name: np.asarray(split.labels, dtype=np.int64) for name, split in splits.items()}
    require_counts(record, labels)
    record.notes += missing_classes(labels, classes)
    write_manifest(record.target.manifest, names, labels, classes)
    write_report(record.target.report, record.facts("built", classes, labels))
    return write_store(
        record.target.store,
        splits,
        **record.description(classes),
        mean=None if mean is None else tuple(mean),
        std=None if std is None else tuple(std),
    )


def require_counts(record: BuildRecord, splits: Mapping[str, Sized]) -> None:
    """Check the number of images that each split has upstream, bad ones included, against what is expected.

    Raises:
        InputError: another number of images, or none; names the split.
    """
    require_images(record, splits)
    for split, images in splits.items():
        want = record.expected.get(split)
        if want is not None and len(images) != want:
            raise InputError(
                f"{record.root}: {len(images)} images in split '{split}', expected {want}; fetch the files "
                f"again, or change 'expect' of the build settings if this is another edition"
            )


def require_images(record: BuildRecord, splits: Mapping[str, Sized]) -> None:
    """Check that no split is empty.

    Raises:
        InputError: names the first that is.
    """
    for split, images in splits.items():
        if len(images) == 0:
            raise InputError(f"{record.root}: split '{split}' is empty; fetch the files again")


def missing_classes(labels: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[str]:
    """Notes on the classes that a labelled split has no image of."""
    notes = []
    for split, values in labels.items():
        present = set(values[values >= 0].tolist())
        missing = [name for label, name in enumerate(classes) if label not in present]
        if present and missing:
            more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
            notes.append(f"split {split} has no image of {', '.join(missing[:10])}{more}")
    return notes
