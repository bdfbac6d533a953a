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

from cld.data.labels import complete_labels
from cld.evaluation.accuracy import accuracy, by_logits
from cld.evaluation.classifier.training import linear_head, train_classifier
from cld.evaluation.logistic_regression import fit_logistic_regression, standardised
from cld.evaluation.protocol_names import partial_path
from cld.evaluation.scored_run import ScoredRun, load_scored_run
from cld.runtime.errors import InputError
from cld.training.resumable import Resumable


def score_linear(store: str, settings: Mapping, checkpoint: str, device_name: str | None = None) -> dict:
    """Logistic regression, by L-BFGS, of features that are computed once and standardised."""
    train_labels, test_labels = (complete_labels(store, split) for split in ("train", settings["split"]))
    run = load_scored_run(store, checkpoint, device_name)
    logits, fit = _regression(run, train_labels, settings, settings["split"])
    grades = accuracy(by_logits(logits), test_labels)
    details = {"kind": "features without augmentation, computed once; L-BFGS", "fit": fit}
    return run.score(settings, grades["metrics"], details | grades["details"])


def score_linear_published(
    store: str, settings: Mapping, checkpoint: str, device_name: str | None = None, *, score: str | Path
) -> dict:
    """The published protocol on random views; its details have the faster kind's result on the same run.

    Args:
        score: the score's file, which the caller writes; it then removes the state beside it, from which
            a stopped training resumes.
    """
    split = settings["split"]
    train_labels, test_labels = complete_labels(store, "train"), complete_labels(store, split)
    run = load_scored_run(store, checkpoint, device_name)
    backbone = run.encoder.backbone
    head = linear_head(backbone.out_features, len(run.info.classes), run.config["seed"]).to(run.device)
    optimiser = torch.optim.SGD(
        head.parameters(), settings["lr"], settings["momentum"], weight_decay=settings["weight_decay"]
    )

    def classify(views: Tensor) -> Tensor:
        with torch.no_grad():
            features = backbone(views)
        return head(features)

    resumable = Resumable(partial_path(score), run.subject(settings), run.config["checkpoint_every_s"])
    rows, title = np.arange(len(train_labels)), "linear_published"
    loss = train_classifier(run, rows, train_labels, classify, head, optimiser, settings, title, resumable)
    if not math.isfinite(loss):
        resumable.remove()
        raise InputError(
            f"{checkpoint}: the linear classifier diverged; lower linear_published.lr ({settings['lr']})"
        )
    logits = run.features(nn.Sequential(backbone, head), split)
    grades = accuracy(by_logits(logits), test_labels)
    faster_logits, _ = _regression(run, train_labels, settings["faster"], split)
    faster = accuracy(by_logits(faster_logits), test_labels)["metrics"]
    details = {
        "kind": "random views in every epoch; SGD",
        "training_loss": loss,
        "faster": faster,
        "faster_minus_published": {name: faster[name] - value for name, value in grades["metrics"].items()},
    }
    return run.score(settings, grades["metrics"], details | grades["details"])


def _regression(
    run: ScoredRun, train_labels: np.ndarray, settings: Mapping, split: str
) -> tuple[Tensor, dict]:
    """Logits (N, C) of the images of ``split``, and how the fit went."""
    backbone = run.encoder.backbone
    train, test = standardised(run.features(backbone, "train"), run.features(backbone, split))
    targets = torch.from_numpy(train_labels).to(run.device)
    fit = fit_logistic_regression(
        train, targets, len(run.info.classes), settings["l2"], settings["max_evaluations"]
    )
    return fit.logits(test), {
        "loss": fit.loss,
        "evaluations": fit.evaluations,
        "converged": fit.converged,
    }
