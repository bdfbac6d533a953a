"""Checks of a store's labels and of settings against them, made before anything slow begins."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cld.data import read_info, read_labels
from cld.runtime.errors import InputError

N_NAMED = 3


def class_labels(store: str | Path, split: str) -> np.ndarray:
    """The labels of a split that can be scored, int64 (N,).

    Raises:
        InputError: the store cannot be read or has no such split, some of its images have no label, or all
            have the same one.
    """
    labels = read_labels(store, split)
    if len(np.unique(labels)) < 2:
        raise InputError(
            f"{store}: all {len(labels)} images of split '{split}' are of one class, so any answer is right; "
            "score a store with two classes or more"
        )
    return labels


def complete_labels(store: str | Path, split: str) -> np.ndarray:
    """The labels of a split that has images of every class, int64 (N,).

    Raises:
        InputError: as :func:`class_labels`; or the split lacks a class.
    """
    labels, classes = class_labels(store, split), read_info(store).classes
    if missing := [name for label, name in enumerate(classes) if label not in labels]:
        raise InputError(
            f"{store}: split '{split}' has no image of class {_named(missing)}, so a classifier can neither "
            "be trained on it nor scored by it; build the store with images of each class in each split"
        )
    return labels


def neighbour_labels(store: str | Path, split: str, source: str) -> tuple[np.ndarray, np.ndarray]:
    """The labels of a split and of that in which its neighbours are looked for, each int64 (N,).

    Raises:
        InputError: as :func:`class_labels`; or a class of ``split`` has no neighbour in ``source``. Where the
            two are the same, an image is no neighbour of itself.
    """
    labels, classes = (class_labels(store, split), class_labels(store, source)), read_info(store).classes
    n_queries, n_neighbours = (np.bincount(values, minlength=len(classes)) for values in labels)
    is_same = split == source
    missing = np.flatnonzero((n_queries > 0) & (n_neighbours <= int(is_same)))
    if len(missing):
        names = _named([classes[label] for label in missing])
        if is_same:
            raise InputError(
                f"{store}: split '{split}' has one image of class {names}, and so no right neighbour for it; "
                "look for neighbours in another split"
            )
        raise InputError(
            f"{store}: class {names} is in split '{split}' and not in '{source}', where its neighbours would "
            "be; build the store with another split rule, or score another split"
        )
    return labels


def require_within(key: str, value: int, most: float, things: str) -> None:
    """Refuse a setting's number of neighbours or groups that the images, ``most`` ``things``, cannot give.

    Raises:
        InputError: ``value`` is below 1 or above ``most``.
    """
    if not 1 <= value <= most:
        raise InputError(f"{key} {value} is outside 1..{most}, {things}; change it")


def knn_labels(store: str | Path, settings: Mapping) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the split that kNN classifies and of ``train``, each int64 (N,).

    Raises:
        InputError: as :func:`neighbour_labels`; or there are no ``k`` neighbours.
    """
    labels = neighbour_labels(store, settings["split"], "train")
    require_within("knn.k", settings["k"], len(labels[1]), "the neighbours in split 'train'")
    return labels


def retrieval_labels(store: str | Path, split: str, source: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the queries and of what they search, each int64 (N,).

    Raises:
        InputError: as :func:`neighbour_labels`; or there are no ``k`` images to find.
    """
    labels = neighbour_labels(store, split, source)
    n_neighbours = len(labels[1]) - (split == source)
    require_within("retrieval.k", k, n_neighbours, f"the neighbours in split '{source}'")
    return labels


def require_scorable(store: str | Path, protocol: str, settings: Mapping) -> None:
    """Check, before a run is trained, what a protocol will ask of its store.

    Protocols that score on another dataset ask nothing of this one.

    Raises:
        InputError: the labels or the number of images do not suit the settings.
    """
    split = settings["split"]
    if protocol == "knn":
        knn_labels(store, settings)
    elif protocol == "retrieval":
        retrieval_labels(store, split, settings["from"], settings["k"])
    elif protocol.startswith(("linear", "semisup")):
        complete_labels(store, "train")
        complete_labels(store, split)
    elif protocol == "nmi":
        n = len(class_labels(store, split))
        require_within("nmi.groups", settings["groups"] or 1, n, f"the images of split '{split}'")


def _named(classes: Sequence[str]) -> str:
    names = ", ".join(f"'{name}'" for name in classes[:N_NAMED])
    return names + (f" and {len(classes) - N_NAMED} more" if len(classes) > N_NAMED else "")
