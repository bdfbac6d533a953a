"""Sets of square pictures of one size, drawn by several processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cld.runtime.progress import progress
from data_prep.common.parallel import ordered_map
from data_prep.synthetic.pictures.drawing import draw_picture
from data_prep.synthetic.pictures.looks import Look
from data_prep.synthetic.pictures.streams import Stream, generator

BLOCK = 25
"""Pictures a job draws: enough that sending them costs little, few enough to show progress."""


@dataclass(frozen=True)
class _Job:
    looks: tuple[Look, ...]
    first: int
    side: int
    seed: int
    split: int


def draw_set(
    looks: Sequence[Look], labels: np.ndarray, side: int, seed: int, split: int, workers: int, title: str
) -> np.ndarray:
    """Pictures of the classes ``labels`` (N,), as uint8 (N, side, side, 3).

    Args:
        looks: of each class.
        split: sets of another number show other pictures.
        title: what the progress report calls the set.
    """
    shown = [looks[label] for label in labels]
    jobs = [
        _Job(tuple(shown[first : first + BLOCK]), first, side, seed, split)
        for first in range(0, len(shown), BLOCK)
    ]
    pictures = np.empty((len(shown), side, side, 3), np.uint8)
    with progress(title, len(shown), "pictures") as bar:
        for job, block in zip(jobs, ordered_map(_draw_block, jobs, workers), strict=True):
            pictures[job.first : job.first + len(block)] = block
            bar.advance(len(block))
    return pictures


def _draw_block(job: _Job) -> np.ndarray:
    return np.stack(
        [
            draw_picture(look, job.side, job.side, generator(job.seed, Stream.PICTURE, job.split, index))
            for index, look in enumerate(job.looks, start=job.first)
        ]
    )
