"""Weighted k-nearest-neighbour classification of features (Wu et al. 2018, section 3.4).

Exact at any size and in bounded memory: queries and training features are taken in chunks, and the nearest of
the chunks are merged. What comes out does not depend on the chunks, to the last bit: products are computed in
tiles of a fixed grid, and of equally similar neighbours the one with the lower row counts as nearer.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from cld.runtime.errors import InputError

#: Most memory that the buffers may take, on the device; features and answers come on top.
BUDGET_BYTES = 256 * 2**20
#: Queries and training features of one product. A product of another shape may round differently.
TILE = (256, 2048)
#: Queries of a chunk where not all training features fit: more of them, fewer passes over the features.
WIDE = 4 * TILE[0]


class Chunks(NamedTuple):
    """How many queries are compared with how many training features at a time."""

    queries: int
    train: int


def buffer_bytes(chunks: Chunks, dim: int, k: int, n_classes: int) -> int:
    """The memory that one chunk takes.

    Beside a tile a query has its features, its similarities, six times its k neighbours (those known, new
    ones, both, and both sorted; value and row each), their votes and the classes' votes, sorted. Features of
    one chunk are copied to the device.
    """
    # 12 bytes: a float32 and an int64
    query = 4 * dim + 4 * chunks.train + 12 * (6 * k + 1) + 24 * k + 24 * n_classes
    return 4 * TILE[0] * TILE[1] + chunks.queries * query + 4 * dim * chunks.train


def plan_chunks(n_queries: int, n_train: int, dim: int, k: int, n_classes: int, budget: int) -> Chunks:
    """The chunks whose buffers fit ``budget`` bytes: all training features at a time if that leaves a tile.

    Both are whole tiles, or everything; at the least they are one tile, whatever the budget.
    """

    def most(queries: int, train: int, by: Chunks) -> int:
        """How many times ``by`` fits on top of so many queries and training features."""
        empty = buffer_bytes(Chunks(queries, train), dim, k, n_classes)
        step = buffer_bytes(Chunks(queries + by.queries, train + by.train), dim, k, n_classes) - empty
        return max(0, budget - empty) // step

    rows, columns = TILE
    queries = most(0, n_train, Chunks(1, 0))
    if queries >= min(n_queries, rows):
        return Chunks(n_queries if queries >= n_queries else queries // rows * rows, n_train)
    for queries in (min(WIDE, n_queries), min(rows, n_queries)):
        if tiles := most(queries, 0, Chunks(0, columns)):
            return Chunks(queries, min(tiles * columns, n_train))
    return Chunks(min(rows, n_queries), min(columns, n_train))


@torch.no_grad()
def nearest(
    train_features: Tensor, queries: Tensor, k: int, chunks: Chunks
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Find the k training features that are most similar to each query, chunk by chunk of the queries.

    Of equally similar ones the lower row comes first. The work is done where the queries are; the training
    features may lie elsewhere, and only chunks of them are copied.

    Args:
        train_features: (M, D).
        queries: (N, D).
        k: at most M.
        chunks: see :func:`plan_chunks`.

    Yields:
        Which queries, their similarities (n, k), falling, and the rows of the training features (n, k).
    """
    buffer = queries.new_empty(min(chunks.queries, len(queries)) * min(chunks.train, len(train_features)))
    for start in range(0, len(queries), chunks.queries):
        some = queries[start : start + chunks.queries]
        best = None
        for first in range(0, len(train_features), chunks.train):
            others = train_features[first : first + chunks.train].to(queries.device)
            similarity = _products(some, others, buffer)
            values, index = _top(similarity, k)
            index += first
            best = (values, index) if best is None else _merged(best, (values, index), k)
        yield slice(start, start + len(some)), *best


def _products(queries: Tensor, others: Tensor, buffer: Tensor) -> Tensor:
    """Inner products (n, m), in ``buffer``, tile by tile.

    Where a result is to lie can decide how it is computed: each tile is computed in a place of its own.
    """
    rows, columns = TILE
    products = buffer[: len(queries) * len(others)].view(len(queries), len(others))
    scratch = buffer.new_empty(rows * columns)
    for i in range(0, len(queries), rows):
        for j in range(0, len(others), columns):
            out = products[i : i + rows, j : j + columns]
            tile = scratch[: out.numel()].view(out.shape)
            out.copy_(torch.mm(queries[i : i + rows], others[j : j + columns].T, out=tile))
    return products


def _top(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row of (n, m), or all m; of equal ones the lower column first.

    PyTorch's topk takes any of equal ones: only where there are some is the row looked at again.
    """
    m = similarity.shape[1]
    values, index = similarity.topk(min(k + 1, m), dim=1)
    if k < m:
        for row in (values[:, k - 1] == values[:, k]).nonzero()[:, 0].tolist():
            values[row], index[row] = (
                part[: k + 1] for part in similarity[row].sort(descending=True, stable=True)
            )
        values, index = values[:, :k], index[:, :k]
    tied = (values[:, 1:] == values[:, :-1]).any(dim=1).nonzero()[:, 0]
    if len(tied):
        in_order, by_column = index[tied].sort(dim=1)
        fallen, by_value = values[tied].gather(1, by_column).sort(dim=1, descending=True, stable=True)
        values[tied], index[tied] = fallen, in_order.gather(1, by_value)
    return values, index


def _merged(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], k: int) -> tuple[Tensor, Tensor]:
    """The k best of two; every row number of ``first`` is below those of ``second``."""
    values, place = torch.cat([first[0], second[0]], dim=1).sort(dim=1, descending=True, stable=True)
    index = torch.cat([first[1], second[1]], dim=1).gather(1, place[:, :k])
    return values[:, :k], index


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
    such as those with none, are ranked by their number. The work is done where the test features are.

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
    (n_train, dim), n_test = train_features.shape, len(test_features)
    if not 1 <= k <= n_train:
        raise InputError(f"k {k} is outside 1..{n_train}, the number of training features: change knn.k")
    train_labels = train_labels.to(test_features.device)
    ranked = torch.empty(n_test, n_classes, dtype=torch.int64, device=test_features.device)
    chunks = plan_chunks(n_test, n_train, dim, k, n_classes, BUDGET_BYTES)
    for rows, similarity, index in nearest(train_features, test_features, k, chunks):
        # Votes relative to the nearest neighbour's: the ranks are the same and no exponential overflows.
        weights = ((similarity - similarity[:, :1]).double() / temperature).exp()
        votes = weights.new_zeros(len(index), n_classes).scatter_add_(1, train_labels[index], weights)
        ranked[rows] = votes.argsort(dim=1, descending=True, stable=True)
    return ranked


def knn_hits(ranked: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Whether the first, or one of the first five, ``ranked`` classes (N, C) is the label (N,): bool (N,)."""
    hits = ranked == labels[:, None]
    return {f"top{n}": hits[:, :n].any(dim=1) for n in (1, 5)}


def knn_accuracy(ranked: Tensor, labels: Tensor) -> dict[str, float]:
    """Top-1 and top-5 accuracy in percent of ``ranked`` classes (N, C) against ``labels`` (N,).

    With fewer than five classes the top five are all of them.
    """
    return {name: 100 * hits.double().mean().item() for name, hits in knn_hits(ranked, labels).items()}
