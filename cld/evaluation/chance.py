"""Chance, to compare with: the training classes from the most to the least frequent, for every image."""

from collections.abc import Mapping

import numpy as np
import torch

from cld.data import read_info
from cld.data.labels import class_labels
from cld.evaluation.accuracy import top_accuracy


def score_chance(store: str, settings: Mapping) -> dict:
    """Accuracy of the same answer for every image.

    Raises:
        InputError: see :func:`cld.data.labels.class_labels`.
    """
    train, labels = class_labels(store, "train"), class_labels(store, settings["split"])
    counts = np.bincount(train, minlength=len(read_info(store).classes))
    ranked = torch.from_numpy(np.argsort(-counts, kind="stable")).expand(len(labels), -1)
    metrics = top_accuracy(ranked, labels)
    return {"run": None, "seed": None, "metrics": metrics, "settings": dict(settings)}
