import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.cifar.long_tail import class_sizes, long_tail_rows


@pytest.mark.parametrize(("largest", "n_classes", "total"), [(5000, 10, 12406), (500, 100, 10847)])
def test_the_published_sizes(largest, n_classes, total):
    assert class_sizes(largest, n_classes, 100).sum() == total


@pytest.mark.parametrize("imbalance", [10, 20, 50, 100, 200])
@pytest.mark.parametrize(("largest", "n_classes"), [(5000, 10), (500, 100)])
def test_sizes_are_those_of_the_common_implementation(largest, n_classes, imbalance):
    factor = 1 / imbalance
    theirs = [int(largest * factor ** (c / (n_classes - 1.0))) for c in range(n_classes)]
    assert class_sizes(largest, n_classes, imbalance).tolist() == theirs


@given(st.integers(0, 1000), st.floats(1, 100))
def test_rows_have_the_sizes_in_upstream_order(seed, imbalance):
    labels = np.random.default_rng(seed).integers(0, 10, 400)
    counts = np.bincount(labels, minlength=10)
    sizes = class_sizes(int(counts.max()), 10, imbalance)
    rows = long_tail_rows(labels, sizes, seed)
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, long_tail_rows(labels, sizes, seed))
    some = np.minimum(sizes, 20)
    assert long_tail_rows(labels, some, seed).tolist() != long_tail_rows(labels, some, seed + 1).tolist()
    np.testing.assert_array_equal(np.bincount(labels[rows], minlength=10), np.minimum(sizes, counts))


def test_a_class_without_images_is_left_empty():
    labels = np.array([0, 0, 2])
    np.testing.assert_array_equal(long_tail_rows(labels, np.array([2, 2, 1]), 0), [0, 1, 2])
