"""Weighted kNN on a run's instance features (supplement, Tables A.1, A.2 and A.4)."""

from collections.abc import Mapping

import torch

from cld.data.labels import knn_labels
from cld.evaluation.accuracy import accuracy
from cld.evaluation.scored_run import load_scored_run
from cld.knn_vote import knn_classify


def score_knn(store: str, settings: Mapping, checkpoint: str, device_name: str | None = None) -> dict:
    """Classify a split by the training images under test transforms.

    A vote weighs exp(similarity / T), with T the run's T_I unless the settings name one.
    """
    split, k = settings["split"], settings["k"]
    labels, train_labels = knn_labels(store, settings)
    run = load_scored_run(store, checkpoint, device_name)
    temperature = settings["temperature"] or run.config["temperature"]
    train, queries = (run.features(run.encoder, name) for name in ("train", split))
    n_classes = len(run.info.classes)
    ranked = knn_classify(train, torch.from_numpy(train_labels), queries, n_classes, k, temperature)
    return run.score({**settings, "temperature": temperature}, **accuracy(ranked, labels))
