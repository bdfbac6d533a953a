"""Scores over several seeds, and whether two methods differ by more than chance."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from cld.runtime.errors import InputError

LEVEL = 95  # percent of the bootstrap's differences that an interval holds
RESAMPLES = 10_000
#: Numbers drawn at a time.
DRAWN = 2**22


def mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; None of a single value."""
    return fmean(values), stdev(values) if len(values) > 1 else None


def packed_hits(hits: np.ndarray) -> str:
    """Which of N images were right (bool (N,)), eight to a byte, in base64."""
    return base64.b64encode(np.packbits(hits)).decode("ascii")


def unpacked(text: str, n: int) -> np.ndarray:
    """The hits of :func:`packed_hits`, bool (n,).

    Raises:
        InputError: the text does not hold ``n`` images.
    """
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except ValueError:
        raise InputError("the hits are not base64; score the run again") from None
    if len(packed) != -(-n // 8):
        raise InputError(f"the hits are of {8 * len(packed)} images and not of {n}; score the run again")
    return np.unpackbits(packed, count=n).astype(bool)


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
