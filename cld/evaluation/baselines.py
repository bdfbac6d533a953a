"""Baselines that need no network: weighted kNN on raw pixels, and chance."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import normalize

from cld.data import read_info, thumbnails
from cld.data.labels import class_labels, neighbour_labels, require_within
from cld.evaluation.accuracy import accuracy, top_accuracy
from cld.knn_vote import knn_classify


def score_pixel_knn(store: str, settings: Mapping) -> dict:
    """Classify a split by the cosine of pixels that are standardised per channel.

    Of a split with more than ``max_images`` a random sample takes part, the same every time. Of fewer than
    ``k`` training images all vote, which is said; ``details`` have the number.
    """
    info, most = read_info(store), settings["max_images"]
    labels, train_labels = neighbour_labels(store, settings["split"], "train")
    n_neighbours = min(len(train_labels), most["train"])
    require_within("pixel_knn.k", settings["k"], np.inf, "the neighbours in split 'train'")
    if (k := settings["k"]) > n_neighbours:  # a small store has a card, too
        print(f"{store}: pixel_knn.k {k}: all {n_neighbours} neighbours vote, there are no more", flush=True)
        k = n_neighbours

    def pixels(split: str, labels: np.ndarray, most: int) -> tuple[torch.Tensor, np.ndarray]:
        rows = np.arange(len(labels))
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
        images = thumbnails(store, split, rows, settings["side"]) / np.float32(255)
        standardised = (images - np.float32(info.mean)) / np.float32(info.std)
        return normalize(torch.from_numpy(standardised).flatten(1), dim=1), labels[rows]

    train, train_labels = pixels("train", train_labels, most["train"])
    queries, labels = pixels(settings["split"], labels, most["test"])
    temperature = settings["temperature"]
    ranked = knn_classify(train, torch.from_numpy(train_labels), queries, len(info.classes), k, temperature)
    grades = accuracy(ranked, labels)
    details = {**grades["details"], "k": k}
    return {"run": None, "seed": None, **grades, "details": details, "settings": dict(settings)}


def score_chance(store: str, settings: Mapping) -> dict:
    """Accuracy where every image gets the training classes from the most to the least frequent."""
    train, labels = class_labels(store, "train"), class_labels(store, settings["split"])
    counts = np.bincount(train, minlength=len(read_info(store).classes))
    ranked = torch.from_numpy(np.argsort(-counts, kind="stable")).expand(len(labels), -1)
    metrics = top_accuracy(ranked, labels)
    return {"run": None, "seed": None, "metrics": metrics, "settings": dict(settings)}
