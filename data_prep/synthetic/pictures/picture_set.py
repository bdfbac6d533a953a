"""Sets of square pictures of one size, drawn by several processes."""

from collections.abc import Sequence

import numpy as np

from cld.runtime.progress import progress
from data_prep.common.parallel import ordered_map
from data_prep.synthetic.pictures.class_looks import Look
from data_prep.synthetic.pictures.drawing import draw_picture
from data_prep.synthetic.pictures.random_numbers import Stream, balanced_labels, generator

CHUNK = 25
"""Pictures that a worker draws at a time."""


def draw_set(
    looks: Sequence[Look], n: int, side: int, seed: int, split: int, workers: int, title: str
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``n`` pictures of classes that look like ``looks``, about as many of each.

    Splits of another number show other pictures; ``title`` is the set's name in the progress report.

    Returns:
        Pictures uint8 (n, side, side, 3) and labels int64 (n,).
    """
    labels = balanced_labels(n, len(looks), seed, split)
    jobs = [(looks[label], side, (seed, Stream.PICTURE, split, i)) for i, label in enumerate(labels)]
    pictures = np.empty((n, side, side, 3), np.uint8)
    with progress(title, n, "pictures") as bar:
        for i, picture in enumerate(ordered_map(_draw, jobs, workers, CHUNK)):
            pictures[i] = picture
            bar.advance()
    return pictures, labels


def _draw(job: tuple[Look, int, tuple[int, Stream, int, int]]) -> np.ndarray:
    look, side, numbers = job
    return draw_picture(look, side, side, generator(*numbers))
