"""Long-tailed subsets (Cui et al., Class-Balanced Loss, CVPR 2019): class sizes that fall exponentially."""

import numpy as np


def class_sizes(largest: int, n_classes: int, imbalance: float) -> np.ndarray:
    """The images of each class, int64 (n_classes,): ``largest`` of the first, fewer of each that follows.

    Class c of C has ``largest * (1 / imbalance) ** (c / (C - 1))`` images, rounded down as in the
    implementation of Cao et al. (NeurIPS 2019) that the published numbers were made with, and at least one.

    ``imbalance`` is 1 or more.
    """
    positions = np.arange(n_classes) / max(n_classes - 1, 1)
    # 49 * (1 / 49) is a little less than 1 in floating point
    exact = largest * (1 / imbalance) ** positions + 1e-9
    return np.maximum(np.floor(exact).astype(np.int64), min(largest, 1))


def long_tail_rows(labels: np.ndarray, sizes: np.ndarray, seed: int) -> np.ndarray:
    """Choose images at random, ``sizes[c]`` of class c or all where there are fewer.

    A class's choice follows from (seed, class) and the class's own images alone.

    Args:
        labels: int64 (N,), 0 or more.
        sizes: int64 (C,), as from :func:`class_sizes`.

    Returns:
        int64 (M,), indices into ``labels``, ascending: what is kept stays in its order.
    """
    kept = [
        np.random.default_rng((seed, label)).permutation(np.flatnonzero(labels == label))[:size]
        for label, size in enumerate(sizes.tolist())
    ]
    return np.sort(np.concatenate(kept))
