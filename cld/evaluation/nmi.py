"""Normalised mutual information between groups of test features and their labels (supplement, section 7)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import normalized_mutual_info_score
from torch import Generator, Tensor
from torch.nn import functional as F

from cld.clustering import spherical_kmeans
from cld.data.labels import class_labels, require_within
from cld.evaluation.scored_run import load_scored_run
from cld.runtime.progress import progress


class Grouping(NamedTuple):
    """Groups (N,) int64 of features, and the mean of 1 - cosine to the centre of one's group."""

    groups: Tensor
    objective: float


def score_nmi(store: str, settings: Mapping, checkpoint: str, device_name: str | None = None) -> dict:
    """Group a run's features of a split, by default into as many groups as classes, and compare the two."""
    split, labels = settings["split"], class_labels(store, settings["split"])
    settings = {**settings, "groups": settings["groups"] or len(np.unique(labels))}
    require_within("nmi.groups", settings["groups"], len(labels), f"the images of split '{split}'")
    run = load_scored_run(store, checkpoint, device_name)
    network = run.encoder if settings["features"] == "instance" else run.encoder.backbone
    tries = grouped(run.features(network, split), settings)
    restarts = [
        {"nmi": mutual_information(labels, attempt.groups), "objective": attempt.objective}
        for attempt in tries
    ]
    best = min(restarts, key=lambda attempt: attempt["objective"])
    return run.score(settings, {"nmi": best["nmi"]}, {"n": len(labels), "restarts": restarts})


def mutual_information(first: np.ndarray | Tensor, second: np.ndarray | Tensor) -> float:
    """NMI of two labellings (N,) in percent, normalised by the mean of their entropies."""
    first, second = (torch.as_tensor(labels).cpu().numpy() for labels in (first, second))
    return 100 * min(1.0, float(normalized_mutual_info_score(first, second)))


def grouped(features: Tensor, settings: Mapping) -> list[Grouping]:
    """Spherical k-means from several starts.

    Each starts from a k-means++ choice of samples (Arthur & Vassilvitskii 2007), with the weight 1 - cosine,
    which on the sphere is half the squared distance.

    Args:
        features: (N, D), of any length.
        settings: ``groups`` (K), ``restarts``, ``n_iters`` (EM iterations), ``seed``.
    """
    points = F.normalize(features.double(), dim=1)
    generator = torch.Generator().manual_seed(settings["seed"])
    found = []
    with progress("k-means", settings["restarts"], "starts") as bar:
        for _ in range(settings["restarts"]):
            # spherical_kmeans starts from the first K samples
            order = _starts_first(points, settings["groups"], generator)
            groups, centres = spherical_kmeans(points[order], settings["groups"], settings["n_iters"])
            fit = F.cosine_similarity(points[order], centres[groups], dim=1)
            found.append(Grouping(torch.empty_like(groups).scatter_(0, order, groups), 1 - fit.mean().item()))
            bar.advance()
    return found


def best_grouping(features: Tensor, settings: Mapping) -> Tensor:
    """The groups (N,) of the start whose objective is least; see :func:`grouped`."""
    return min(grouped(features, settings), key=lambda attempt: attempt.objective).groups


def _starts_first(points: Tensor, n_groups: int, generator: Generator) -> Tensor:
    """An order (N,) of unit ``points`` (N, D) that begins with ``n_groups`` far apart from each other."""
    far = torch.ones(len(points), dtype=torch.float64)  # on the CPU, as the generator
    is_free = torch.ones(len(points), dtype=torch.bool)
    chosen = []
    for _ in range(n_groups):
        # where all free points coincide with chosen ones, any of them
        weights = far * is_free if (far * is_free).any() else is_free.double()
        chosen.append(int(torch.multinomial(weights, 1, generator=generator)))
        is_free[chosen[-1]] = False
        far = torch.minimum(far, (1 - points @ points[chosen[-1]]).clamp_(min=0).cpu())
    return torch.cat([torch.tensor(chosen), is_free.nonzero()[:, 0]]).to(points.device)
