"""Random crops of JPEGs, decoded and cut ahead of time by worker processes.

An image's crops follow from (seed, stream, step, place in the batch), so they do not depend on which process
cuts them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import tee

import numpy as np
import torch
from torch import Tensor

from cld.augment.views import CROP_ATTEMPTS, CROP_RATIO, fitting_crops
from cld.data.decoding import cut, decoded
from cld.data.epoch_sampler import rank_slice
from cld.data.jpegs import EncodedImages
from cld.runtime.rng import CROPS, stream_seed
from cld.runtime.worker_pool import worker_count

#: Most images of a job: a batch is shared out among the workers, and its first part is soon there.
JOB_SIZE = 16
AHEAD_BATCHES = 2


class RandomCrops:
    """Decodes each image once and cuts random regions out of it.

    Args:
        splits: the images, counted through from the first split to the last.
        n_views: V, crops of an image.
        scale: [least, most] share of an image's area that a crop shows.
        side: height and width of a crop.
        seed: with the step and the place in the batch, what the crops follow from.
        stream: stream of random numbers, see :mod:`cld.runtime.rng`.
    """

    def __init__(
        self,
        splits: Sequence[EncodedImages],
        n_views: int,
        scale: Sequence[float],
        side: int,
        seed: int,
        stream: int = CROPS,
    ):
        self.splits, self.starts = splits, np.cumsum([0, *map(len, splits)])
        self.n_views, self.scale, self.side = n_views, scale, side
        self.seed, self.stream = seed, stream

    def __call__(self, job: tuple[int, int, list[int]]) -> np.ndarray:
        """The crops of a job (step, place, rows): images that stand from ``place`` on in a step's batch.

        Returns:
            uint8 (V, len(rows), side, side, 3).

        Raises:
            InputError: an image cannot be decoded.
        """
        step, place, rows = job
        crops = np.empty((self.n_views, len(rows), self.side, self.side, 3), np.uint8)
        for i, (row, *draws) in enumerate(zip(rows, *self._draws(step, place, len(rows)), strict=True)):
            split = int(np.searchsorted(self.starts, row, side="right")) - 1
            regions_of = partial(fitting_crops, share=draws[0], ratio=draws[1], position=draws[2])
            crops[:, i] = cut(self.splits[split], row - int(self.starts[split]), regions_of, self.side)
        return crops

    def _draws(self, step: int, place: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For :func:`fitting_crops`: each (n, V, …)."""
        shape = (self.n_views, 2 * CROP_ATTEMPTS + 2)  # numbers that an image takes, wherever it stands
        bits = np.random.PCG64(stream_seed(self.seed, self.stream, step)).advance(place * math.prod(shape))
        draws = np.random.Generator(bits).random((n, *shape))
        share, ratio, position = np.split(draws, [CROP_ATTEMPTS, 2 * CROP_ATTEMPTS], axis=2)
        (low, high), (narrow, wide) = self.scale, map(math.log, CROP_RATIO)
        return low + (high - low) * share, np.exp(narrow + (wide - narrow) * ratio), position


@contextmanager
def random_crop_batches(
    crops: RandomCrops,
    batches: Iterable[tuple[int, Tensor]],
    batch_size: int,
    workers: int | str,
    device: torch.device,
) -> Iterator[Iterator[Tensor]]:
    """Gives an iterator over the crops of this process's slice of each batch.

    Args:
        batches: (step, image indices (B,) int64), of all processes, as of
            :class:`cld.data.epoch_sampler.EpochSampler`.
        batch_size: greatest B.
        workers: processes that decode, or ``auto``; 0: this one does.
        device: of the crops, uint8 (V, b, side, side, 3).

    Raises:
        InputError: an image cannot be decoded, or a worker died.
    """
    own, workers = rank_slice(batch_size), worker_count(workers)
    job_size = min(JOB_SIZE, -(-(own.stop - own.start) // max(workers, 1)))

    def parts(n_images: int) -> list[slice]:
        own = rank_slice(n_images)
        starts = range(own.start, own.stop, job_size)
        return [slice(start, min(start + job_size, own.stop)) for start in starts]

    n_ahead = AHEAD_BATCHES * len(parts(batch_size))
    ahead, current = tee(batches)
    jobs = ((step, part.start, index[part].tolist()) for step, index in ahead for part in parts(len(index)))
    with decoded(crops, jobs, workers, n_ahead, device) as chunks:

        def crops_of(index: Tensor) -> Tensor:
            return torch.cat([next(chunks) for _ in parts(len(index))], dim=1)

        yield (crops_of(index) for _, index in current)
