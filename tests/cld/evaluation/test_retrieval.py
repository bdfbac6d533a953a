"""Retrieval against scikit-learn's neighbours, within a split and between two."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from cld.data import read_info, read_labels
from cld.data.features import extract_features
from cld.evaluation.retrieval import nearest_rows, retrieve, score_retrieval
from cld.evaluation.statistics import unpacked
from cld.training.checkpoint import load_encoder


def features(store, tiny_checkpoint):
    encoder, _ = load_encoder(tiny_checkpoint)
    found = extract_features(encoder, store, "train", read_info(store), torch.device("cpu"))
    return found.numpy()


def test_a_split_retrieves_from_itself_without_itself(tiny_store, tiny_checkpoint):
    score = score_retrieval(
        str(tiny_store), {"split": "train", "from": "train", "k": 4}, tiny_checkpoint, "cpu"
    )
    x, labels = features(tiny_store, tiny_checkpoint), read_labels(tiny_store, "train")
    rows = NearestNeighbors(n_neighbors=4, metric="cosine").fit(x).kneighbors(return_distance=False)
    right = labels[rows] == labels[:, None]
    assert score["metrics"]["top1"] == pytest.approx(100 * right[:, 0].mean())
    assert score["metrics"]["precision_at_k"] == pytest.approx(100 * right.mean())
    hits = unpacked(score["details"]["hits"]["top1"], score["details"]["n"])
    assert hits.tolist() == right[:, 0].tolist()


def test_a_split_retrieves_from_another(tiny_store, tiny_checkpoint):
    found = retrieve(tiny_store, "test", "train", 3, tiny_checkpoint, "cpu")
    labels = [read_labels(tiny_store, split) for split in ("test", "train")]
    assert found.rows.shape == found.is_right.shape == (5, 3)
    assert found.is_right.tolist() == (labels[1][found.rows] == labels[0][:, None]).tolist()


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
