"""Retrieval: do the nearest images show the same class? (supplement, sections 7 and 8)"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cld.data import read_info
from cld.data.features import extract_features
from cld.evaluation.labels import neighbour_labels, require_k
from cld.evaluation.statistics import packed_hits
from cld.nearest_neighbours import nearest_neighbours
from cld.runtime.device import resolve_device
from cld.training.checkpoint import load_encoder
from cld.training.run_id import run_id


class Retrieval(NamedTuple):
    """What a run retrieves for every image of a split.

    Attributes:
        rows: (N, k) int64, the nearest images first.
        is_right: (N, k) bool, whether they are of the query's class.
        config: the run's resolved configuration.
    """

    rows: np.ndarray
    is_right: np.ndarray
    config: dict


def score_retrieval(store: str, settings: Mapping, checkpoint: str, device_name: str | None = None) -> dict:
    """How often the nearest image is of the query's class, and which share of the k nearest is.

    Raises:
        InputError: see :func:`retrieve`.
    """
    found = retrieve(store, settings["split"], settings["from"], settings["k"], checkpoint, device_name)
    first = found.is_right[:, 0]
    return {
        "run": run_id(found.config),
        "seed": found.config["seed"],
        "metrics": {"top1": 100 * float(first.mean()), "precision_at_k": 100 * float(found.is_right.mean())},
        "settings": dict(settings),
        "details": {"n": len(first), "hits": {"top1": packed_hits(first)}},
    }


def retrieve(
    store: str | Path, split: str, source: str, k: int, checkpoint: str | Path, device_name: str | None = None
) -> Retrieval:
    """Retrieve, for every image of ``split``, the ``k`` images of ``source`` nearest by instance feature f_I.

    Where the two are the same split, a query does not retrieve itself.

    Raises:
        InputError: the labels do not suit, see :mod:`cld.evaluation.labels`, or there are no ``k`` images.
    """
    device, info = resolve_device(device_name), read_info(store)
    labels, source_labels = neighbour_labels(store, info, split, source)
    is_same = split == source
    require_k(k, len(source_labels) - is_same, source, "retrieval.k")
    encoder, config = load_encoder(checkpoint, device)
    features = [
        extract_features(encoder, store, name, info, device, config["image_size"], config["workers"])
        for name in dict.fromkeys((split, source))
    ]
    rows = nearest_rows(features[0], features[-1], k, is_same).cpu().numpy()
    return Retrieval(rows, source_labels[rows] == labels[:, None], config)


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
