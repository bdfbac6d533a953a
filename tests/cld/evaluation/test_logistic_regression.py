"""Logistic regression against scikit-learn's on the same features."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cld.evaluation import logistic_regression
from cld.evaluation.logistic_regression import fit_logistic_regression, standardised


def clouds(n, dim, n_classes, seed=0):
    """Classes that overlap, each with one row at least."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)])
    features = rng.normal(size=(n_classes, dim))[labels] + rng.normal(size=(n, dim))
    return torch.from_numpy(features), torch.from_numpy(labels)


@settings(max_examples=15)
@given(
    n_classes=st.integers(3, 6),
    dim=st.integers(1, 12),
    l2=st.sampled_from([1e-1, 1e-2, 1e-3]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 99),
)
def test_probabilities_are_scikit_learns(n_classes, dim, l2, dtype, seed):
    n = 80
    features, labels = clouds(n, dim, n_classes, seed)
    reference = LogisticRegression(C=1 / (l2 * n), tol=1e-8, max_iter=5000)
    expected = reference.fit(features.numpy(), labels.numpy()).predict_proba(features.numpy())
    fit = fit_logistic_regression(features.to(dtype), labels, n_classes, l2, 2000)
    assert fit.converged
    ours = fit.logits(features.to(dtype)).softmax(dim=1)
    np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_classes_that_can_be_told_apart_without_error_converge():
    features = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    fit = fit_logistic_regression(features, torch.tensor([0, 0, 1, 1]), 2, 1e-4, 1000)
    assert fit.converged and fit.weight.isfinite().all()
    assert fit.logits(features).argmax(dim=1).tolist() == [0, 0, 1, 1]


def test_it_says_when_it_was_cut_short():
    features, labels = clouds(80, 6, 3)
    fit = fit_logistic_regression(features, labels, 3, 1e-3, 3)
    assert not fit.converged


def test_the_same_every_time_and_in_chunks(monkeypatch):
    features, labels = clouds(80, 6, 3)
    first, second = (fit_logistic_regression(features, labels, 3, 1e-2, 500) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    monkeypatch.setattr(logistic_regression, "CHUNK", 7)
    chunked = fit_logistic_regression(features, labels, 3, 1e-2, 500)
    torch.testing.assert_close(chunked.weight, first.weight, rtol=0, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_are_standardised_as_by_scikit_learn_and_constant_ones_drop_out(dtype):
    train, test = (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)).to(dtype) for n in (50, 9))
    train[:, 2], test[:, 2] = 0.1, 3.0
    scaler = StandardScaler().fit(train.double().numpy())
    for ours, features in zip(standardised(train, test), (train, test), strict=True):
        expected = torch.from_numpy(scaler.transform(features.double().numpy()))
        expected[:, 2] = 0
        torch.testing.assert_close(ours, expected.to(dtype), rtol=1e-5, atol=1e-5)
