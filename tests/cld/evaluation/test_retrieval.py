"""Retrieval against scikit-learn's neighbours, within a split and between two."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from cld.data import read_info, read_labels
from cld.data.features import extract_features
from cld.evaluation.retrieval import nearest_rows, score_retrieval
from cld.evaluation.statistics import unpacked
from cld.training.checkpoint import load_encoder


@pytest.mark.parametrize(("split", "source"), [("train", "train"), ("test", "train")])
def test_neighbours_are_scikit_learns(tiny_store, tiny_checkpoint, split, source):
    """Within a split none is its own neighbour, which scikit-learn leaves out where no queries are given."""
    settings = {"split": split, "from": source, "k": 3}
    score = score_retrieval(str(tiny_store), settings, tiny_checkpoint, "cpu")
    encoder, _ = load_encoder(tiny_checkpoint)
    queries, others = (
        extract_features(encoder, tiny_store, name, read_info(tiny_store), torch.device("cpu")).numpy()
        for name in (split, source)
    )
    reference = NearestNeighbors(n_neighbors=3, metric="cosine").fit(others)
    rows = reference.kneighbors(None if split == source else queries, return_distance=False)
    right = read_labels(tiny_store, source)[rows] == read_labels(tiny_store, split)[:, None]
    assert score["metrics"]["top1"] == pytest.approx(100 * right[:, 0].mean())
    assert score["metrics"]["precision_at_k"] == pytest.approx(100 * right.mean())
    hits = unpacked(score["details"]["hits"]["top1"], score["details"]["n"])
    assert hits.tolist() == right[:, 0].tolist()


@settings(max_examples=40)
@given(st.integers(2, 12), st.integers(0, 99))
def test_no_image_is_its_own_neighbour_though_copies_are(n, seed):
    """Few different features: most have copies, with lower and higher rows."""
    x = torch.randint(0, 2, (n, 2), generator=torch.Generator().manual_seed(seed)).float() + 0.5
    x = torch.nn.functional.normalize(x, dim=1)
    k = max(1, n // 2)
    rows = nearest_rows(x, x, k, is_same=True)
    similarity = (x @ x.T).fill_diagonal_(-2)
    assert not (rows == torch.arange(n)[:, None]).any()
    assert all(len(set(row)) == k for row in rows.tolist())
    expected = similarity.topk(k, dim=1).values
    np.testing.assert_allclose(similarity.gather(1, rows), expected, atol=1e-6)
