"""The protocols: each scores a run's checkpoint, or a store alone, and says how it did.

A score is ``{"run", "seed", "metrics" (percent), "settings"}``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import normalize

from cld.config import run_id
from cld.evaluation.features import extract_features
from cld.evaluation.knn import knn_accuracy, knn_classify
from cld.store import StoreInfo, read_info, read_labels, thumbnails
from cld.training.checkpoint import load_encoder
from cld.training.device import resolve_device


@dataclass(frozen=True)
class Protocol:
    """How to score, and whether it takes a run's checkpoint or needs no network."""

    score: Callable[..., dict]
    needs_run: bool


def score_knn(store: str, settings: Mapping, checkpoint: str, device_name: str | None = None) -> dict:
    """Weighted kNN on a run's instance features (supplement, Tables A.1, A.2 and A.4).

    Neighbours are the training images under test transforms; a vote weighs exp(similarity / T), with T
    the run's T_I unless the settings name one.
    """
    device = resolve_device(device_name)
    encoder, config = load_encoder(checkpoint, device)
    info = read_info(store)
    settings = {**settings, "temperature": settings["temperature"] or config["temperature"]}
    splits, side = ("train", settings["split"]), config["image_size"]
    labels = [torch.from_numpy(read_labels(store, split)) for split in splits]
    features = [
        extract_features(encoder, store, split, info, device, side, config["workers"]) for split in splits
    ]
    return {
        "run": run_id(config),
        "seed": config["seed"],
        "metrics": _vote(features[0], labels[0], features[1], labels[1], info, settings),
        "settings": settings,
    }


def score_pixel_knn(store: str, settings: Mapping) -> dict:
    """The same vote on raw pixels, standardised per channel, compared by cosine.

    Of a split with more than ``max_images`` a random sample takes part, the same every time.
    """
    info = read_info(store)

    def pixels(split: str, most: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = read_labels(store, split)
        rows = np.arange(len(labels))
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
        images = thumbnails(store, split, rows, settings["side"]) / np.float32(255)
        standardised = (images - np.float32(info.mean)) / np.float32(info.std)
        return normalize(torch.from_numpy(standardised).flatten(1), dim=1), torch.from_numpy(labels[rows])

    most = settings["max_images"]
    train, train_labels = pixels("train", most["train"])
    test, test_labels = pixels(settings["split"], most["test"])
    metrics = _vote(train, train_labels, test, test_labels, info, settings)
    return {"run": None, "seed": None, "metrics": metrics, "settings": dict(settings)}


def score_chance(store: str, settings: Mapping) -> dict:
    """Always answering the training classes from the most to the least frequent."""
    info = read_info(store)
    train, test = read_labels(store, "train"), read_labels(store, settings["split"])
    order = np.argsort(-np.bincount(train, minlength=len(info.classes)), kind="stable")
    ranked = torch.from_numpy(order).expand(len(test), -1)
    metrics = knn_accuracy(ranked, torch.from_numpy(test))
    return {"run": None, "seed": None, "metrics": metrics, "settings": dict(settings)}


def _vote(
    train_features: torch.Tensor,
    train_labels: torch.Tensor,
    test_features: torch.Tensor,
    test_labels: torch.Tensor,
    info: StoreInfo,
    settings: Mapping,
) -> dict[str, float]:
    device = train_features.device
    ranked = knn_classify(
        train_features,
        train_labels.to(device),
        test_features,
        len(info.classes),
        settings["k"],
        settings["temperature"],
    )
    return knn_accuracy(ranked, test_labels.to(device))


PROTOCOLS = {
    "knn": Protocol(score_knn, needs_run=True),
    "pixel_knn": Protocol(score_pixel_knn, needs_run=False),
    "chance": Protocol(score_chance, needs_run=False),
}
