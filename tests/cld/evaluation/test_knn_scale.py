"""Nearest neighbours in chunks: the same whatever the chunks, ties included, within the budget of memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cld.evaluation import knn
from cld.evaluation.knn import BUDGET_BYTES, Chunks, buffer_bytes, nearest, plan_chunks

TILE = (3, 5)
sizes = st.integers(1, 40)


def slow(train, queries, k):
    """Rows of the k nearest, of equals the lower one first."""
    similarity = (queries.double() @ train.double().T).tolist()
    return [sorted(range(len(train)), key=lambda i: (-row[i], i))[:k] for row in similarity]


def found(train, queries, k, chunks):
    parts = list(nearest(train, queries, k, chunks))
    assert [row for rows, *_ in parts for row in range(len(queries))[rows]] == list(range(len(queries)))
    return torch.cat([part[1] for part in parts]), torch.cat([part[2] for part in parts])


@settings(max_examples=60)
@given(sizes, sizes, st.floats(0, 1), st.integers(1, 5), st.integers(1, 9), st.integers(0, 99))
def test_ties_go_to_the_lower_row_whatever_the_chunks(n_train, n_queries, share, rows, columns, seed):
    """Small whole numbers: products are exact, and many are equal."""
    generator = torch.Generator().manual_seed(seed)
    train = torch.randint(-1, 2, (n_train, 3), generator=generator).float()
    queries = torch.randint(-1, 2, (n_queries, 3), generator=generator).float()
    k = max(1, round(share * n_train))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knn, "TILE", TILE)
        chunks = Chunks(rows * TILE[0], columns * TILE[1])
        values, index = found(train, queries, k, chunks)
    assert index.tolist() == slow(train, queries, k)
    assert torch.equal(values, (queries @ train.T).gather(1, index))


@settings(max_examples=60)
@given(sizes, sizes, st.integers(1, 5), st.integers(1, 9), st.integers(0, 99))
def test_similarities_are_the_same_to_the_last_bit(n_train, n_queries, rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    train = torch.randn(n_train, 67, generator=generator)
    queries = torch.randn(n_queries, 67, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knn, "TILE", TILE)
        whole = found(train, queries, min(7, n_train), Chunks(n_queries, n_train))
        chunks = Chunks(rows * TILE[0], columns * TILE[1])
        parts = found(train, queries, min(7, n_train), chunks)
    assert torch.equal(whole[0], parts[0]) and torch.equal(whole[1], parts[1])


@given(
    st.integers(1, 10**5),
    st.integers(1, 2 * 10**6),
    st.sampled_from([2, 128, 512]),
    st.sampled_from([1, 20, 200]),
    st.sampled_from([2, 1000]),
    st.integers(0, 2**31),
)
def test_chunks_fit_the_budget_or_are_one_tile(n_queries, n_train, dim, k, n_classes, budget):
    chunks = plan_chunks(n_queries, n_train, dim, k, n_classes, budget)
    rows, columns = knn.TILE
    assert chunks.queries % rows == 0 or chunks.queries == n_queries
    assert chunks.train % columns == 0 or chunks.train == n_train
    smallest = Chunks(min(rows, n_queries), min(columns, n_train))
    assert buffer_bytes(chunks, dim, k, n_classes) <= budget or chunks == smallest


def test_imagenet_fits_the_budget():
    chunks = plan_chunks(50_000, 1_281_167, 128, 200, 1000, BUDGET_BYTES)
    assert buffer_bytes(chunks, 128, 200, 1000) <= BUDGET_BYTES
    assert chunks.queries >= 256 and chunks.train >= 8192, "large enough for fast products"


def test_buffers_count_what_is_allocated():
    """What a chunk keeps at once, added up by hand."""
    n, m, dim, k, n_classes = 10, 70, 8, 5, 3
    kept = 4 * n * m + 4 * dim * (n + m)  # similarities; features
    known, new = 12 * n * k, 12 * n * (k + 1)
    both = 2 * 12 * n * 2 * k  # as they are, and sorted
    votes = 3 * 8 * n * k + 3 * 8 * n * n_classes
    tile = 4 * 256 * 2048
    assert buffer_bytes(Chunks(n, m), dim, k, n_classes) == tile + kept + known + new + both + votes


def test_small_sets_are_one_chunk():
    assert plan_chunks(1000, 4000, 128, 200, 10, BUDGET_BYTES) == Chunks(1000, 4000)
