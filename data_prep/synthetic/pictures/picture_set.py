"""Sets of square pictures of one size, drawn by several processes."""

from collections.abc import Sequence

import numpy as np

from cld.runtime.progress import progress
from data_prep.common.parallel import ordered_map
from data_prep.synthetic.pictures.class_looks import Look
from data_prep.synthetic.pictures.drawing import draw_picture
from data_prep.synthetic.pictures.random_numbers import Stream, generator

CHUNK = 25
"""Pictures that a worker draws at a time."""


def draw_set(
    looks: Sequence[Look], labels: np.ndarray, side: int, seed: int, split: int, workers: int, title: str
) -> np.ndarray:
    """Pictures of the classes ``labels`` (N,), as uint8 (N, side, side, 3).

    Args:
        looks: of each class.
        split: sets of another number show other pictures.
        title: the set's name in the progress report.
    """
    jobs = [(looks[label], side, (seed, Stream.PICTURE, split, i)) for i, label in enumerate(labels)]
    pictures = np.empty((len(jobs), side, side, 3), np.uint8)
    with progress(title, len(jobs), "pictures") as bar:
        for i, picture in enumerate(ordered_map(_draw, jobs, workers, CHUNK)):
            pictures[i] = picture
            bar.advance()
    return pictures


def _draw(job: tuple[Look, int, tuple[int, ...]]) -> np.ndarray:
    look, side, numbers = job
    return draw_picture(look, side, side, generator(*numbers))
