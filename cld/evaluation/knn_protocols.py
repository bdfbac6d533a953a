"""Scores that neighbours vote for: kNN on a run's features and on raw pixels, and chance to compare with."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import normalize

from cld.data import StoreInfo, read_info, thumbnails
from cld.data.features import extract_features
from cld.evaluation.knn import knn_accuracy, knn_classify, knn_hits
from cld.evaluation.labels import class_labels, require_classes, require_k
from cld.evaluation.statistics import packed_hits
from cld.run_id import run_id
from cld.runtime.device import resolve_device
from cld.training.checkpoint import load_encoder


def score_knn(store: str, settings: Mapping, checkpoint: str, device_name: str | None = None) -> dict:
    """Weighted kNN on a run's instance features (supplement, Tables A.1, A.2 and A.4).

    Neighbours are the training images under test transforms; a vote weighs exp(similarity / T), with T
    the run's T_I unless the settings name one.
    """
    device = resolve_device(device_name)
    info = read_info(store)
    labels = _labels(store, info, settings["split"])
    require_k(settings["k"], len(labels[0]), "train", "knn.k")
    encoder, config = load_encoder(checkpoint, device)
    settings = {**settings, "temperature": settings["temperature"] or config["temperature"]}
    splits, side = ("train", settings["split"]), config["image_size"]
    features = [
        extract_features(encoder, store, split, info, device, side, config["workers"]) for split in splits
    ]
    return {
        "run": run_id(config),
        "seed": config["seed"],
        **_vote(features[0], labels[0], features[1], labels[1], info, settings),
        "settings": settings,
    }


def score_pixel_knn(store: str, settings: Mapping) -> dict:
    """The same vote on raw pixels, standardised per channel, compared by cosine.

    Of a split with more than ``max_images`` a random sample takes part, the same every time.
    """
    info = read_info(store)
    train_labels, test_labels = _labels(store, info, settings["split"])
    most = settings["max_images"]
    require_k(settings["k"], min(len(train_labels), most["train"]), "train", "pixel_knn.k")

    def pixels(split: str, labels: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = np.arange(len(labels))
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
        images = thumbnails(store, split, rows, settings["side"]) / np.float32(255)
        standardised = (images - np.float32(info.mean)) / np.float32(info.std)
        return normalize(torch.from_numpy(standardised).flatten(1), dim=1), labels[rows]

    train, train_labels = pixels("train", train_labels, most["train"])
    test, test_labels = pixels(settings["split"], test_labels, most["test"])
    voted = _vote(train, train_labels, test, test_labels, info, settings)
    return {"run": None, "seed": None, **voted, "settings": dict(settings)}


def score_chance(store: str, settings: Mapping) -> dict:
    """Always answering the training classes from the most to the least frequent."""
    info = read_info(store)
    train, test = class_labels(store, "train"), class_labels(store, settings["split"])
    order = np.argsort(-np.bincount(train, minlength=len(info.classes)), kind="stable")
    ranked = torch.from_numpy(order).expand(len(test), -1)
    metrics = knn_accuracy(ranked, torch.from_numpy(test))
    return {"run": None, "seed": None, "metrics": metrics, "settings": dict(settings)}


def _labels(store: str, info: StoreInfo, split: str) -> list[torch.Tensor]:
    """Labels of the training images and of those that are classified by them, each int64 (N,)."""
    train, test = class_labels(store, "train"), class_labels(store, split)
    require_classes(store, info, (split, "train"), (test, train))
    return [torch.from_numpy(train), torch.from_numpy(test)]


def _vote(
    train_features: torch.Tensor,
    train_labels: torch.Tensor,
    test_features: torch.Tensor,
    test_labels: torch.Tensor,
    info: StoreInfo,
    settings: Mapping,
) -> dict:
    """The ``metrics`` and ``details`` of a score."""
    device = train_features.device
    ranked = knn_classify(
        train_features,
        train_labels,
        test_features,
        len(info.classes),
        settings["k"],
        settings["temperature"],
    )
    hits = knn_hits(ranked, test_labels.to(device))
    packed = {name: packed_hits(values.cpu().numpy()) for name, values in hits.items()}
    return {
        "metrics": {name: 100 * values.double().mean().item() for name, values in hits.items()},
        "details": {"n": len(ranked), "hits": packed},
    }
