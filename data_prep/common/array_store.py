"""Finishing a store of small images of one size: counts, manifest, report and, last, the store."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cld.data import Split, StoreInfo, write_store
from cld.runtime.errors import InputError
from data_prep.common.build_record import BuildRecord

#: What Linux says of its memory.
MEMINFO = Path("/proc/meminfo")


def require_memory(n_bytes: int, what: str, fix: str) -> None:
    """Refuse images that would not fit into memory, before the kernel ends the build.

    A job's own limit, of a scheduler or a container, is not looked at.

    Raises:
        InputError: ``what``, the bytes needed and available, and the ``fix``.
    """
    if not MEMINFO.exists():
        return
    facts = dict(line.split(":") for line in MEMINFO.read_text(encoding="ascii").splitlines())
    available = int(facts["MemAvailable"].split()[0]) * 1024
    if n_bytes > available:
        raise InputError(
            f"{what} take {n_bytes / 1e9:.1f} GB of memory, and {available / 1e9:.1f} are available; {fix}"
        )


def write_array_store(
    record: BuildRecord,
    splits: Mapping[str, Split],
    names: Mapping[str, Sequence[str]],
    classes: Sequence[str],
) -> StoreInfo:
    """Write manifest, report and store; ``mean`` and ``std`` are those of the settings.

    Args:
        record: of the build; its counts and problems have been checked.
        splits: by name, in the order of the manifest.
        names: by split, each image's name upstream.
        classes: names, in the order of the labels.

    Raises:
        InputError: a split is empty.
    """
    labels = {name: np.asarray(split.labels, dtype=np.int64) for name, split in splits.items()}
    record.write_manifest_and_report(names, labels, classes)
    mean, std = (
        None if value is None else tuple(value) for value in (record.settings.mean, record.settings.std)
    )
    return write_store(record.target.store, splits, **record.description(classes), mean=mean, std=std)
