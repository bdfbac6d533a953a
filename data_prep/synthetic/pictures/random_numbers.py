"""Random numbers: each thing drawn has its own generator, so the order of the work does not matter."""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for."""

    ORDER = 0
    PALETTE = 1
    PICTURE = 2
    LABELS = 3
    FILES = 4


def generator(seed: int, stream: Stream, *numbers: int) -> np.random.Generator:
    """The generator of one thing: of a class, or of picture ``numbers`` = (split, index)."""
    return np.random.default_rng((seed, stream, *numbers))


def balanced_labels(n: int, n_classes: int, seed: int, split: int) -> np.ndarray:
    """Shuffled labels int64 (n,); the counts of any two classes differ by at most one."""
    return generator(seed, Stream.LABELS, split).permutation(np.arange(n) % n_classes)
