"""Scores over several seeds, and whether two methods differ by more than chance."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

LEVEL = 95  # percent of the bootstrap's differences that an interval holds
RESAMPLES = 10_000
#: Numbers drawn at a time.
DRAWN = 2**22


def mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; None of a single value."""
    return fmean(values), stdev(values) if len(values) > 1 else None


def packed_hits(hits: np.ndarray) -> str:
    """Which of N images were right (bool (N,)), eight to a byte, in base64."""
    return base64.b64encode(np.packbits(hits).tobytes()).decode("ascii")


def unpacked(text: str, n: int) -> np.ndarray:
    """The hits of :func:`packed_hits`, bool (n,)."""
    packed = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return np.unpackbits(packed, count=n).astype(bool)


def one_metric(score: Mapping, metric: str) -> dict:
    """One metric of a score: the run, its value in percent, and its hits if they are known.

    Returns:
        ``run``, ``seed``, ``value``, ``n`` images and their ``hits`` (see :func:`packed_hits`; both may be
        None) and ``provenance``: what :func:`paired_differences` compares.
    """
    details = score.get("details", {})
    return {
        "run": score["run"],
        "seed": score["seed"],
        "value": score["metrics"][metric],
        "n": details.get("n"),
        "hits": details.get("hits", {}).get(metric),
        "provenance": score["provenance"],
    }


def paired_differences(
    plus: Sequence[Sequence[Mapping]], minus: Sequence[Sequence[Mapping]]
) -> np.ndarray | None:
    """The sum over methods of ``plus`` less that over ``minus``, by seed and image, in percentage points.

    Args:
        plus, minus: methods, each as its scores by :func:`one_metric`, one a seed.

    Returns:
        (S, N), or (S, 1) where a score has no hits or another number of images. The S
        seeds are those that all methods have. None if there is no such seed, or the scores are of different
        data.
    """
    methods = [{score["seed"]: score for score in scores} for scores in (*plus, *minus)]
    seeds = sorted(set.intersection(*map(set, methods)), key=str)
    scores = [method[seed] for method in methods for seed in seeds]
    if not seeds or len({score["provenance"]["data_checksum"] for score in scores}) > 1:
        return None
    has_images = all(score["hits"] for score in scores) and len({score["n"] for score in scores}) == 1

    def values(method: Mapping) -> np.ndarray:
        own = [method[seed] for seed in seeds]
        if has_images:
            return 100.0 * np.array([unpacked(score["hits"], score["n"]) for score in own])
        return np.array([[score["value"]] for score in own])

    added, taken = methods[: len(plus)], methods[len(plus) :]
    return np.sum([values(method) for method in added], axis=0) - np.sum(
        [values(method) for method in taken], axis=0
    )


@dataclass(frozen=True)
class Interval:
    """A mean difference and its interval, in the values' unit; no interval of a single value."""

    mean: float
    low: float | None
    high: float | None


def bootstrap(differences: np.ndarray, seed: int = 0) -> Interval:
    """The mean of paired differences with a percentile interval.

    Seeds and images are both drawn again with replacement, each resample's images for all of its seeds: what
    differs between images is common to the seeds (two-way bootstrap, Owen 2007). A dimension of one is
    left as it is.

    Args:
        differences: (S, N), by seed and image; (S, 1) where only the seeds' scores are known.
        seed: of the resampling.
    """
    n_seeds, n_images = differences.shape
    mean = float(differences.mean())
    if differences.size == 1:
        return Interval(mean, None, None)
    rng = np.random.default_rng(seed)
    # Of hits there are few kinds of images: how often each kind is drawn is all that matters.
    kinds, counts = np.unique(differences, axis=1, return_counts=True)  # S, K
    means = np.empty(RESAMPLES)
    step = max(1, DRAWN // len(counts))
    for start in range(0, RESAMPLES, step):
        n = min(step, RESAMPLES - start)
        seeds = rng.integers(n_seeds, size=(n, n_seeds))
        weights = (seeds[:, :, None] == np.arange(n_seeds)).mean(axis=1)  # n, S
        drawn = rng.multinomial(n_images, counts / n_images, size=n)  # n, K
        means[start : start + n] = (weights @ kinds * drawn).sum(axis=1) / n_images
    low, high = np.percentile(means, [50 - LEVEL / 2, 50 + LEVEL / 2])
    return Interval(mean, float(low), float(high))
