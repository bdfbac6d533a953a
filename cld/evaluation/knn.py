"""Weighted kNN on a run's instance features (supplement, Tables A.1, A.2 and A.4)."""

from collections.abc import Mapping

import torch

from cld.data import read_info
from cld.data.features import extract_features
from cld.evaluation.accuracy import accuracy
from cld.evaluation.labels import neighbour_labels, require_k
from cld.nearest_neighbours import knn_classify
from cld.runtime.device import resolve_device
from cld.training.checkpoint import load_encoder
from cld.training.run_id import run_id


def score_knn(store: str, settings: Mapping, checkpoint: str, device_name: str | None = None) -> dict:
    """Classify a split by the training images under test transforms.

    A vote weighs exp(similarity / T), with T the run's T_I unless the settings name one.

    Raises:
        InputError: the labels do not suit, see :mod:`cld.evaluation.labels`, or there are no ``k`` images.
    """
    device, info = resolve_device(device_name), read_info(store)
    labels, train_labels = neighbour_labels(store, info, settings["split"], "train")
    require_k(settings["k"], len(train_labels), "train", "knn.k")
    encoder, config = load_encoder(checkpoint, device)
    settings = {**settings, "temperature": settings["temperature"] or config["temperature"]}
    train, features = (
        extract_features(encoder, store, split, info, device, config["image_size"], config["workers"])
        for split in ("train", settings["split"])
    )
    ranked = knn_classify(
        train,
        torch.from_numpy(train_labels),
        features,
        len(info.classes),
        settings["k"],
        settings["temperature"],
    )
    return {
        "run": run_id(config),
        "seed": config["seed"],
        **accuracy(ranked, torch.from_numpy(labels).to(device)),
        "settings": settings,
    }
