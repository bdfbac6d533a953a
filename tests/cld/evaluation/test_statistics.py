"""Means over seeds, packed hits and the bootstrap, against slow references."""

import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cld.evaluation.statistics import bootstrap, mean_sd, packed_hits, unpacked


def test_mean_and_sample_deviation():
    assert mean_sd([1.0, 2.0, 6.0]) == (3.0, pytest.approx(statistics.stdev([1, 2, 6])))
    assert mean_sd([4.0]) == (4.0, None)


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_hits_come_back(hits):
    assert unpacked(packed_hits(np.array(hits)), len(hits)).tolist() == hits


def test_one_seed_agrees_with_scipy():
    differences = np.random.default_rng(0).normal(1, 2, (1, 400))
    ours = bootstrap(differences)
    theirs = stats.bootstrap(
        (differences[0],), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert ours.mean == pytest.approx(differences.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_seeds_and_images_are_both_drawn_again():
    """Against one resample at a time, for differences of seeds, of images, and of both."""
    rng = np.random.default_rng(0)
    for by_seed, by_image in ((3, 0), (0, 3), (1, 2)):
        differences = rng.normal(0, by_seed, (4, 1)) + rng.normal(0, by_image, (1, 60)) + np.zeros((4, 60))
        means = [
            differences[np.ix_(rng.integers(4, size=4), rng.integers(60, size=60))].mean()
            for _ in range(4000)
        ]
        ours = bootstrap(differences)
        width = ours.high - ours.low
        assert (ours.low, ours.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.1 * width)


@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 99))
def test_the_interval_holds_the_mean_and_is_the_same_every_time(n_seeds, n_images, seed):
    differences = np.random.default_rng(seed).normal(size=(n_seeds, n_images))
    interval = bootstrap(differences)
    assert interval == bootstrap(differences)
    if differences.size == 1:
        assert interval.low is interval.high is None
    else:
        assert interval.low <= interval.mean + 1e-9 and interval.high >= interval.mean - 1e-9
