"""Validation taken from training in contiguous blocks: neighbouring frames are near-duplicates."""

import numpy as np


def validation_mask(n: int, share: float, blocks: int) -> np.ndarray:
    """Which of ``n`` consecutive frames validate, bool (n,).

    The sequence is cut into ``blocks`` equal stretches, and the middle ``share`` of each validates. In all,
    round(n · share) frames do, as evenly spread over the blocks as whole frames allow.
    """
    mask = np.zeros(n, dtype=bool)
    total = round(n * share)
    for block in range(blocks):
        start, stop = n * block // blocks, n * (block + 1) // blocks
        length = total * (block + 1) // blocks - total * block // blocks
        first = start + (stop - start - length) // 2
        mask[first : first + length] = True
    return mask
