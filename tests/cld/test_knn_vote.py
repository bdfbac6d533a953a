import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from cld import knn_vote
from cld.evaluation.accuracy import top_accuracy
from cld.knn_vote import knn_classify, largest
from cld.runtime.errors import InputError


def unit(*shape, seed=0):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=1)


def slow_votes(train, labels, query, n_classes, k, temperature):
    """The vote, one neighbour at a time."""
    similarity = [float(query.double() @ row.double()) for row in train]
    nearest = sorted(range(len(train)), key=lambda i: -similarity[i])[:k]
    votes = [0.0] * n_classes
    for i in nearest:
        votes[int(labels[i])] += math.exp(similarity[i] / temperature)
    return votes


def test_predictions_and_accuracies_are_the_authors(golden):
    n_classes = int(golden["knn_train_labels"].max()) + 1
    ranked = knn_classify(
        golden["knn_train"],
        golden["knn_train_labels"],
        golden["knn_test"],
        n_classes,
        golden["knn_k"],
        golden["knn_sigma"],
    )
    assert ranked.shape == (len(golden["knn_test"]), n_classes)
    assert torch.equal(ranked[:, 0], golden["knn_pred"])
    accuracy = top_accuracy(ranked, golden["knn_test_labels"])
    assert accuracy == pytest.approx({"top1": 100 * golden["knn_top1"], "top5": 100 * golden["knn_top5"]})


@settings(max_examples=40)
@given(
    n_train=st.integers(1, 30),
    n_classes=st.integers(1, 7),
    share=st.floats(0, 1),
    temperature=st.sampled_from([0.01, 0.07, 0.5, 2.0]),
    chunk=st.sampled_from([(1, 1), (2, 4), (100, 100)]),
    seed=st.integers(0, 999),
)
def test_ranks_by_the_slow_vote_whatever_the_chunks(n_train, n_classes, share, temperature, chunk, seed):
    train, queries = unit(n_train, 6, seed=seed), unit(5, 6, seed=seed + 1000)
    labels = torch.randint(n_classes, (n_train,), generator=torch.Generator().manual_seed(seed))
    k = max(1, round(share * n_train))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knn_vote, "QUERIES", chunk[0])
        patch.setattr(knn_vote, "TRAIN", chunk[1])
        ranked = knn_classify(train, labels, queries, n_classes, k, temperature)
    for query, order in zip(queries, ranked.tolist(), strict=True):
        votes = slow_votes(train, labels, query, n_classes, k, temperature)
        assert sorted(order) == list(range(n_classes))
        for better, worse in itertools.pairwise(order):
            assert votes[better] >= votes[worse] * (1 - 1e-4)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize(
    ("rows", "k"),
    [
        (gaussian := torch.randn(2, 1003, generator=torch.Generator().manual_seed(0)), 7),
        (gaussian.sort(dim=1).values, 7),
        (gaussian, 1003),
        (gaussian.round(), 7),  # ties by the hundred
        (torch.zeros(2, 1003), 7),
        (gaussian.where(gaussian < 2, torch.nan), 7),
        (gaussian.where(gaussian < 2, -torch.inf), 300),
    ],
    ids=["any", "sorted", "all", "ties", "equal", "nan", "infinite"],
)
def test_the_largest_are_those_of_topk(rows, k, n_threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)  # at 3, more than there are rows
    values, columns = largest(rows, k)
    torch.testing.assert_close(values, rows.topk(k, dim=1).values, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(rows.gather(1, columns), values, rtol=0, atol=0, equal_nan=True)
    assert all(len(set(row)) == k for row in columns.tolist())


def test_ties_go_to_the_lowest_class():
    train = normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=1)
    ranked = knn_classify(train, torch.tensor([3, 1, 2]), torch.tensor([[1.0, 0.0]]), 5, 3, 0.1)
    assert ranked.tolist() == [[1, 3, 2, 0, 4]]


def test_low_temperatures_do_not_overflow():
    train, labels = unit(20, 4), torch.arange(20) % 2
    ranked = knn_classify(train, labels, train, 2, 5, 1e-4)
    assert torch.equal(ranked[:, 0], labels)


def test_features_with_gradient_are_taken():
    train = unit(6, 4).requires_grad_()
    assert not knn_classify(train, torch.arange(6) % 2, train, 2, 3, 0.1).requires_grad


@pytest.mark.parametrize("k", [0, 21])
def test_k_outside_the_training_set_is_an_error(k):
    with pytest.raises(InputError, match=f"k {k} is outside 1..20, the number of training features"):
        knn_classify(unit(20, 4), torch.zeros(20, dtype=torch.int64), unit(2, 4), 2, k, 0.1)


@pytest.mark.parametrize(
    ("ranked", "label", "expected"),
    [
        ([[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]], 0, {"top1": 50.0, "top5": 50.0}),
        ([[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]], 4, {"top1": 0.0, "top5": 100.0}),
        ([[0, 1], [1, 0]], 1, {"top1": 50.0, "top5": 100.0}),  # fewer than five classes
    ],
)
def test_accuracy_counts_the_first_and_the_first_five(ranked, label, expected):
    assert top_accuracy(torch.tensor(ranked), torch.tensor([label, label])) == expected
