"""Linear classification of a frozen backbone's features (supplement, Tables A.3 and A.4), in two kinds.

``linear`` computes the features once, under the transforms of testing, and fits a logistic regression to the
optimum. ``linear_published`` is MoCo's protocol (He et al. 2020, section 4.1): SGD at a rate of 30 on random
views, for which every image goes through the backbone in every epoch.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cld.data import StoreInfo, read_info
from cld.data.checksums import file_sha256
from cld.data.features import extract_features
from cld.evaluation.accuracy import accuracy, by_logits
from cld.evaluation.classifier.backbone import load_backbone
from cld.evaluation.classifier.random_views import TrainingImages
from cld.evaluation.classifier.training import linear_head, train_classifier
from cld.evaluation.labels import complete_labels
from cld.evaluation.logistic_regression import fit_logistic_regression, standardised
from cld.evaluation.protocol_names import partial_path
from cld.runtime.device import resolve_device
from cld.runtime.errors import InputError
from cld.training.resumable import Resumable
from cld.training.run_id import run_id


def score_linear(store: str, settings: Mapping, checkpoint: str, device_name: str | None = None) -> dict:
    """Logistic regression, by L-BFGS, of features that are computed once and standardised."""
    device, info = resolve_device(device_name), read_info(store)
    train_labels, test_labels = _labels(store, settings["split"], info, device)
    backbone, config, _ = load_backbone(checkpoint, info, device)
    logits, fit = _regression(store, settings, settings["split"], info, backbone, config, train_labels)
    details = {"kind": "features without augmentation, computed once; L-BFGS", "fit": fit}
    return _score(config, settings, accuracy(by_logits(logits), test_labels), details)


def score_linear_published(
    store: str,
    settings: Mapping,
    checkpoint: str,
    device_name: str | None = None,
    *,
    score: str | Path,
) -> dict:
    """The published protocol on random views; its details have the faster kind's result on the same run.

    Args:
        score: the score's file, which the caller writes; it then removes the state beside it, from which
            a stopped training resumes.
    """
    device, info = resolve_device(device_name), read_info(store)
    train_labels, test_labels = _labels(store, settings["split"], info, device)
    backbone, config, side = load_backbone(checkpoint, info, device)

    rows, seed = np.arange(len(train_labels)), config["seed"]
    images = TrainingImages(store, "train", rows, info, side, device, config["workers"])
    head = linear_head(backbone.out_features, len(info.classes), seed).to(device)
    optimiser = torch.optim.SGD(
        head.parameters(), settings["lr"], settings["momentum"], weight_decay=settings["weight_decay"]
    )

    def classify(views: Tensor) -> Tensor:
        with torch.no_grad():
            features = backbone(views)
        return head(features)

    subject = {
        "run": run_id(config),
        "checkpoint": file_sha256(checkpoint),
        "data": info.checksum,
        "settings": dict(settings),
    }
    resumable = Resumable(partial_path(score), subject, config["checkpoint_every_s"])
    loss = train_classifier(
        images, train_labels, classify, head, optimiser, settings, seed, "linear_published", resumable
    )
    if not math.isfinite(loss):
        resumable.remove()
        raise InputError(
            f"{checkpoint}: the linear classifier diverged; lower linear_published.lr ({settings['lr']})"
        )
    network = nn.Sequential(backbone, head).eval()
    logits = extract_features(
        network, store, settings["split"], info, device, config["image_size"], config["workers"]
    )
    grades = accuracy(by_logits(logits), test_labels)
    faster_logits, _ = _regression(
        store, settings["faster"], settings["split"], info, backbone, config, train_labels
    )
    faster = accuracy(by_logits(faster_logits), test_labels)["metrics"]
    details = {
        "kind": "random views in every epoch; SGD",
        "training_loss": loss,
        "faster": faster,
        "faster_minus_published": {name: faster[name] - value for name, value in grades["metrics"].items()},
    }
    return _score(config, settings, grades, details)


def _labels(store: str, split: str, info: StoreInfo, device: torch.device) -> list[Tensor]:
    return [torch.from_numpy(complete_labels(store, name, info)).to(device) for name in ("train", split)]


def _regression(
    store: str,
    settings: Mapping,
    split: str,
    info: StoreInfo,
    backbone: nn.Module,
    config: Mapping,
    train_labels: Tensor,
) -> tuple[Tensor, dict]:
    """Logits (N, C) of the images of ``split``, and how the fit went."""
    train, test = standardised(
        *(
            extract_features(
                backbone, store, name, info, train_labels.device, config["image_size"], config["workers"]
            )
            for name in ("train", split)
        )
    )
    fit = fit_logistic_regression(
        train, train_labels, len(info.classes), settings["l2"], settings["max_evaluations"]
    )
    return fit.logits(test), {
        "loss": fit.loss,
        "evaluations": fit.evaluations,
        "converged": fit.converged,
    }


def _score(config: Mapping, settings: Mapping, grades: Mapping, details: Mapping) -> dict:
    return {
        "run": run_id(config),
        "seed": config["seed"],
        "metrics": grades["metrics"],
        "settings": dict(settings),
        "details": {**details, **grades["details"]},
    }
