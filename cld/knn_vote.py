"""Nearest neighbours by inner product, and classification by their vote (Wu et al. 2018, section 3.4).

Exact up to rounding, at any size and in bounded memory: queries and training features are compared chunk by
chunk, and the nearest of all chunks are merged. Which of equally similar neighbours come first is left open.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from cld.runtime.errors import InputError

#: Queries and training features of a chunk: their similarities take 64 MiB at most.
QUERIES, TRAIN = 2**9, 2**15
#: Similarities that the sieve on a CPU compares by their largest.
GROUP = 16


@torch.no_grad()
def nearest_neighbours(
    train_features: Tensor, queries: Tensor, k: int
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Find the k training features that are most similar to each query, chunk by chunk of the queries.

    The queries' device does the work. The training features may be on another one: chunks are copied.

    Args:
        train_features: (M, D).
        queries: (N, D).
        k: at most M.

    Yields:
        Which queries, their similarities (n, k), falling, and the rows of the training features (n, k).
    """
    buffer = queries.new_empty(min(QUERIES, len(queries)) * min(TRAIN, len(train_features)))
    for start in range(0, len(queries), QUERIES):
        some = queries[start : start + QUERIES]
        best = None
        for first in range(0, len(train_features), TRAIN):
            others = train_features[first : first + TRAIN].to(some.device)
            similarity = buffer[: len(some) * len(others)].view(len(some), len(others))
            values, index = largest(torch.mm(some, others.T, out=similarity), min(k, len(others)))
            index += first
            if best is not None:
                values, index = (torch.cat(both, dim=1) for both in zip(best, (values, index), strict=True))
                values, place = values.topk(min(k, values.shape[1]), dim=1)
                index = index.gather(1, place)
            best = values, index
        yield slice(start, start + len(some)), *best


def largest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, falling, and their columns.

    What ``topk`` gives; on a CPU in a third of its time.

    Args:
        similarity: (n, M).
        k: at most M.

    Returns:
        (n, k) values and (n, k) int64 columns.
    """
    if similarity.device.type != "cpu":
        return similarity.topk(k, dim=1)
    # k groups of columns have a maximum that large, so the k largest all are; few others reach it.
    size = max(1, min(GROUP, similarity.shape[1] // (4 * k)))
    n_groups = similarity.shape[1] // size
    # A group's members stand n_groups apart: neighbours in a sorted set are not all in the same one.
    maxima = similarity[:, : size * n_groups].unflatten(1, (size, n_groups)).amax(dim=1)
    n_threads = torch.get_num_threads()  # NumPy takes one for each call
    n_pieces = 4 * n_threads  # the smaller, the more of one is still in the cache
    with ThreadPoolExecutor(n_threads) as pool:
        pieces = (np.array_split(rows.numpy(), n_pieces) for rows in (similarity, maxima))
        found = pool.map(_sieve, *pieces, [k] * n_pieces)
        values, columns = (torch.from_numpy(np.concatenate(both)) for both in zip(*found, strict=True))
    return values, columns


def _sieve(rows: np.ndarray, maxima: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """:func:`largest` of some rows: sort only what reaches the kth largest of the ``maxima`` of groups."""
    (n, n_columns), n_groups = rows.shape, maxima.shape[1]
    threshold = np.partition(maxima, n_groups - k, axis=1)[:, n_groups - k]
    found = np.flatnonzero(rows >= threshold[:, None])
    ends = np.searchsorted(found, np.arange(n + 1) * n_columns)
    counts = np.diff(ends)
    if n == 0 or counts.min() < k or counts.max() > GROUP * k:  # not numbers, or equal by the thousand
        values, columns = torch.from_numpy(rows).topk(k, dim=1)
        return values.numpy(), columns.numpy()
    number = np.arange(counts.max())
    place = found.take(ends[:-1, None] + number, mode="clip")  # a row's own, then some of the next rows'
    values = rows.take(place)
    np.putmask(values, number >= counts[:, None], -np.inf)
    order = values.argsort(axis=1)[:, : -k - 1 : -1]
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(place, order, axis=1) % n_columns


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
    such as those with none, are ranked by their number. The test features' device does the work.

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
    train_labels = train_labels.to(test_features.device)
    ranked = torch.empty(n_test, n_classes, dtype=torch.int64, device=test_features.device)
    for rows, similarity, index in nearest_neighbours(train_features, test_features, k):
        # Votes relative to the nearest neighbour's: the ranks are the same and no exponential overflows.
        weights = ((similarity - similarity[:, :1]).double() / temperature).exp()
        votes = weights.new_zeros(len(index), n_classes).scatter_add_(1, train_labels[index], weights)
        ranked[rows] = votes.argsort(dim=1, descending=True, stable=True)
    return ranked
