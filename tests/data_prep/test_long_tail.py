import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.cifar.long_tail import class_sizes, long_tail_rows

SIZES = {"largest": st.integers(1, 5000), "n_classes": st.integers(2, 100), "imbalance": st.floats(1, 1000)}


@pytest.mark.parametrize(("largest", "n_classes", "total"), [(5000, 10, 12406), (500, 100, 10847)])
def test_the_published_sizes(largest, n_classes, total):
    assert class_sizes(largest, n_classes, 100).sum() == total


@pytest.mark.parametrize("imbalance", [10, 20, 50, 100, 200])
@pytest.mark.parametrize(("largest", "n_classes"), [(5000, 10), (500, 100)])
def test_sizes_are_those_of_the_common_implementation(largest, n_classes, imbalance):
    factor = 1 / imbalance
    theirs = [int(largest * factor ** (c / (n_classes - 1.0))) for c in range(n_classes)]
    assert class_sizes(largest, n_classes, imbalance).tolist() == theirs


@given(**SIZES)
def test_sizes_fall_from_the_largest_by_the_ratio(largest, n_classes, imbalance):
    sizes = class_sizes(largest, n_classes, imbalance)
    assert len(sizes) == n_classes and sizes[0] == largest
    assert (np.diff(sizes) <= 0).all() and sizes[-1] >= 1
    assert largest / imbalance - 1 < sizes[-1] < max(largest / imbalance, 1) + 1e-6


@given(st.integers(1, 1000), st.integers(1, 5))
def test_a_ratio_that_divides_is_met_exactly(imbalance, smallest):
    assert class_sizes(smallest * imbalance, 10, imbalance)[-1] == smallest


def some_labels(seed=0, n=400):
    return np.random.default_rng(seed).integers(0, 10, n)


@given(st.integers(0, 1000), st.floats(1, 100))
def test_rows_have_the_sizes_in_upstream_order(seed, imbalance):
    labels = some_labels(seed)
    counts = np.bincount(labels, minlength=10)
    sizes = class_sizes(int(counts.max()), 10, imbalance)
    rows = long_tail_rows(labels, sizes, seed)
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(np.bincount(labels[rows], minlength=10), np.minimum(sizes, counts))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_choice_follows_from_the_seed(seed, other):
    labels, sizes = some_labels(), class_sizes(20, 10, 10)
    rows = long_tail_rows(labels, sizes, seed)
    assert (rows.tolist() == long_tail_rows(labels, sizes, other).tolist()) == (seed == other)
    np.testing.assert_array_equal(rows, long_tail_rows(labels, sizes, seed))


def test_a_class_without_images_is_left_empty():
    labels = np.array([0, 0, 2])
    np.testing.assert_array_equal(long_tail_rows(labels, np.array([2, 2, 1]), 0), [0, 1, 2])
