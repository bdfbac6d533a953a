"""Class-balanced subsets of the training images, and images held out to choose a trial by."""

from pathlib import Path

import numpy as np

from cld.config import validate
from cld.data import read_info
from cld.data.labels import complete_labels
from cld.runtime.errors import InputError
from cld.runtime.files import read_json


def draw_subset(store: str | Path, share: float, held_out_share: float, seed: int) -> dict:
    """Draw as many images of each class, one at least, and then images to hold out in the same way.

    A class that has fewer gives what it has: all but one to learn from, so that one can be held out.

    Returns:
        A subset, as ``cld/schemas/subset.schema.yaml`` describes it.

    Raises:
        InputError: the shares are none, or images lack labels or classes; see
            :func:`cld.data.labels.complete_labels`.
    """
    for name, value in (("share", share), ("held_out_share", held_out_share)):
        if not 0 < value < 1:
            raise InputError(f"semisup: {name} {value} is no share of the training images; give 0.01 or 0.1")
    info = read_info(store)
    labels, rng = complete_labels(store, "train"), np.random.default_rng(seed)
    n_learnt, n_held_out = (
        max(1, round(part * len(labels) / len(info.classes))) for part in (share, held_out_share)
    )
    train, held_out = [], []
    for label in range(len(info.classes)):
        rows = rng.permutation(np.flatnonzero(labels == label))
        taken = min(n_learnt, max(1, len(rows) - 1))
        train.append(rows[:taken])
        held_out.append(rows[taken : taken + n_held_out])
    learnt, kept = (np.sort(np.concatenate(parts)).tolist() for parts in (train, held_out))
    if not kept:
        raise InputError(
            f"{store}: one image of each class, so none is left to choose a learning rate by; add images"
        )
    return {
        "format": "cld-subset",
        "share": share,
        "held_out_share": held_out_share,
        "seed": seed,
        "data": info.checksum,
        "train": learnt,
        "held_out": kept,
    }


def read_subset(path: str | Path, store: str | Path) -> dict:
    """Read a subset of a store.

    Raises:
        InputError: the file is missing, is no subset, or is of another store.
    """
    subset = read_json(path, fix := "draw it again by the command subset")
    validate(subset, "subset", str(path), fix)
    info = read_info(store)
    if subset["data"] != info.checksum:
        raise InputError(
            f"{path}: is of another store ({subset['data'][:12]} there, {info.checksum[:12]} of {store}); "
            "draw it again"
        )
    if max(subset["train"] + subset["held_out"]) >= info.sizes["train"]:
        raise InputError(f"{path}: names images that {store} has not; {fix}")
    return subset
