"""Labels that a classifier can be trained on and scored by: every class has images."""

import numpy as np

from cld.errors import InputError
from cld.evaluation.labels import N_NAMED, class_labels
from cld.store import StoreInfo


def complete_labels(store: str, split: str, info: StoreInfo) -> np.ndarray:
    """The labels of a split that has images of every class, int64 (N,).

    Raises:
        InputError: as :func:`cld.evaluation.labels.class_labels`; or the split lacks a class.
    """
    labels = class_labels(store, split)
    counts = np.bincount(labels, minlength=len(info.classes))
    if missing := [name for name, count in zip(info.classes, counts, strict=True) if not count]:
        names = ", ".join(f"'{name}'" for name in missing[:N_NAMED])
        more = f" and {len(missing) - N_NAMED} more" if len(missing) > N_NAMED else ""
        raise InputError(
            f"{store}: split '{split}' has no image of class {names}{more}, so a classifier can neither be "
            "trained on it nor scored by it; build the store with images of each class in each split"
        )
    return labels
