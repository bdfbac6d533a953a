"""Weighted k-nearest-neighbour classification of features (Wu et al. 2018, section 3.4)."""

import torch
from torch import Tensor

from cld.errors import InputError

#: Most memory that the similarities of one chunk of queries may take.
CHUNK_BYTES = 256 * 2**20


@torch.no_grad()
def knn_classify(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    n_classes: int,
    k: int,
    temperature: float,
) -> Tensor:
    """Rank the classes for each test feature by its k nearest training features' votes.

    A neighbour votes for its class with weight exp(similarity / temperature). Classes with the same votes,
    such as those with none, are ranked by their number.

    Args:
        train_features: (M, D), unit rows.
        train_labels: (M,) int64, in 0..n_classes - 1.
        test_features: (N, D), unit rows.
        n_classes: C.
        k: neighbours that vote, at most M.
        temperature: T of the instance loss.

    Returns:
        (N, C) int64, the classes of each test feature, best first.

    Raises:
        InputError: ``k`` is below 1 or exceeds the number of training features.
    """
    n_train, n_test = len(train_features), len(test_features)
    if not 1 <= k <= n_train:
        raise InputError(f"k {k} is outside 1..{n_train}, the number of training features: change knn.k")
    ranked = torch.empty(n_test, n_classes, dtype=torch.int64, device=test_features.device)
    chunk = max(1, CHUNK_BYTES // (n_train * train_features.element_size()))
    similarity = test_features.new_empty(min(chunk, n_test), n_train)  # one buffer for all chunks
    for start in range(0, n_test, chunk):
        queries = test_features[start : start + chunk]
        torch.mm(queries, train_features.T, out=similarity[: len(queries)])
        nearest, index = similarity[: len(queries)].topk(k, dim=1)
        # Votes relative to the nearest neighbour's: the ranks are the same and no exponential overflows.
        weights = ((nearest - nearest[:, :1]).double() / temperature).exp()
        votes = weights.new_zeros(len(queries), n_classes).scatter_add_(1, train_labels[index], weights)
        ranked[start : start + chunk] = votes.argsort(dim=1, descending=True, stable=True)
    return ranked


def knn_accuracy(ranked: Tensor, labels: Tensor) -> dict[str, float]:
    """Top-1 and top-5 accuracy in percent of ``ranked`` classes (N, C) against ``labels`` (N,).

    With fewer than five classes the top five are all of them.
    """
    hits = ranked == labels[:, None]
    return {f"top{n}": 100 * hits[:, :n].any(dim=1).double().mean().item() for n in (1, 5)}
