"""Retrieval: do the nearest images show the same class? (supplement, sections 7 and 8)"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cld.data.labels import retrieval_labels
from cld.evaluation.scored_run import ScoredRun, load_scored_run
from cld.evaluation.statistics import packed_hits
from cld.knn_vote import nearest_neighbours


class Retrieval(NamedTuple):
    """What a run retrieves for every image of a split.

    Attributes:
        rows: (N, k) int64, the nearest images first.
        is_right: (N, k) bool, whether they are of the query's class.
    """

    run: ScoredRun
    rows: np.ndarray
    is_right: np.ndarray


def score_retrieval(store: str, settings: Mapping, checkpoint: str, device_name: str | None = None) -> dict:
    """How often the nearest image is of the query's class, and which share of the k nearest is."""
    run, _, is_right = retrieve(
        store, settings["split"], settings["from"], settings["k"], checkpoint, device_name
    )
    first = is_right[:, 0]
    metrics = {"top1": 100 * float(first.mean()), "precision_at_k": 100 * float(is_right.mean())}
    return run.score(settings, metrics, {"n": len(first), "hits": {"top1": packed_hits(first)}})


def retrieve(
    store: str | Path, split: str, source: str, k: int, checkpoint: str | Path, device_name: str | None = None
) -> Retrieval:
    """Retrieve, for every image of ``split``, the ``k`` images of ``source`` nearest by instance feature f_I.

    Where the two are the same split, a query does not retrieve itself.

    Raises:
        InputError: the labels do not suit, see :mod:`cld.data.labels`, or there are no ``k`` images.
    """
    labels, source_labels = retrieval_labels(store, split, source, k)
    is_same = split == source
    run = load_scored_run(store, checkpoint, device_name)
    features = [run.features(run.encoder, name) for name in dict.fromkeys((split, source))]
    rows = nearest_rows(features[0], features[-1], k, is_same).cpu().numpy()
    return Retrieval(run, rows, source_labels[rows] == labels[:, None])


def nearest_rows(queries: Tensor, others: Tensor, k: int, is_same: bool) -> Tensor:
    """Which ``others`` (M, D) are most similar to each query (N, D): (N, k) int64.

    Args:
        is_same: the two are the same features, and none is its own neighbour.
    """
    found = torch.cat([index for _, _, index in nearest_neighbours(others, queries, k + is_same)])
    if not is_same:
        return found
    # itself goes last, and away; where copies of it crowd it out, the last one goes
    is_itself = found == torch.arange(len(found), device=found.device)[:, None]
    return found.gather(1, is_itself.to(torch.uint8).argsort(dim=1, stable=True))[:, :k]
