"""Which images each step of a training shows: shuffled epochs, cut into batches, for every kind of training.

Where torchrun has started several processes, all draw the same batches, and each takes its slice of them, see
:func:`rank_slice`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from cld.runtime.distributed import rank, world_size
from cld.runtime.rng import ORDERS, stream_seed


@dataclass(frozen=True)
class EpochSampler:
    """Batches of the images 0 to N - 1; iterates over (step, image indices (B,) int64).

    An epoch's order follows from the seed and the epoch, so an iterator can begin at any step. It can be
    iterated over more than once.

    Attributes:
        seed: of the training.
        n_images: N.
        batch_size: B, the images of a batch over all processes.
        first: step to begin with.
        stop: step to end before; None: never ends.
        equal_batches: False: each batch has ``batch_size`` images and an epoch's last, incomplete batch is
            left out. True: an epoch shows every image, in batches of at most ``batch_size`` whose sizes
            differ by one image at most, so no batch has a single image, which batch normalisation refuses.
        stream: the stream of random numbers that the orders come from, see :mod:`cld.runtime.rng`.
    """

    seed: int
    n_images: int
    batch_size: int
    first: int = 0
    stop: int | None = None
    equal_batches: bool = False
    stream: int = ORDERS

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        n_batches = self.n_images / self.batch_size
        return math.ceil(n_batches) if self.equal_batches else math.floor(n_batches)

    @property
    def smallest_batch(self) -> int:
        """Images in the smallest batch."""
        return self.n_images // self.steps_per_epoch if self.equal_batches else self.batch_size

    def epoch_batches(self, epoch: int) -> tuple[Tensor, ...]:
        """The batches of an epoch, (B,) int64 each."""
        generator = torch.Generator().manual_seed(stream_seed(self.seed, self.stream, epoch))
        order = torch.randperm(self.n_images, generator=generator)
        if self.equal_batches:
            return order.tensor_split(self.steps_per_epoch)
        return order.split(self.batch_size)[: self.steps_per_epoch]

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        for epoch in count(self.first // self.steps_per_epoch):
            for step, batch in enumerate(self.epoch_batches(epoch), start=epoch * self.steps_per_epoch):
                if self.stop is not None and step >= self.stop:
                    return
                if step >= self.first:
                    yield step, batch


def rank_slice(n: int) -> slice:
    """This process's part of ``n`` things in a row; sizes differ by one at most."""
    size, rest = divmod(n, world_size())
    start = rank() * size + min(rank(), rest)
    return slice(start, start + size + (rank() < rest))
