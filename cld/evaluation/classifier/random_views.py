"""Random views to train a classifier on: those of MoCo's linear protocol, RandomResizedCrop and a flip.

Images of a store of arrays stay on the device, and a batch's views are made of them in one call. JPEGs are
decoded and cut ahead of time by worker processes. Several processes that torchrun has started each make the
views of their slice of every batch, the same ones that one process makes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from cld.augment.views import normalise, resized_crop, sample_crops, standardise_
from cld.data import EncodedImages, StoreInfo
from cld.data.arrays import read_images
from cld.data.epoch_sampler import EpochSampler
from cld.data.random_crops import RandomCrops, random_crop_batches
from cld.data.store_format import JPEG
from cld.runtime.distributed import rank_slice
from cld.runtime.rng import stream_seed

#: Streams of random numbers, apart from those of pre-training.
VIEWS, CROPS = 16, 17
FLIP_P = 0.5


@dataclass(frozen=True)
class TrainingImages:
    """Some images of a split.

    Attributes:
        rows: (N,) int64, which images of the split.
        info: the store's description.
        side: height and width of the views.
        device: of the views.
        workers: processes that decode JPEGs; 0: this one does.
    """

    store: str | Path
    split: str
    rows: np.ndarray
    info: StoreInfo
    side: int
    device: torch.device
    workers: int

    def __len__(self) -> int:
        return len(self.rows)

    @contextmanager
    def random_views(
        self, sampler: EpochSampler, scale: Sequence[float], seed: int
    ) -> Iterator[Iterator[Tensor]]:
        """Gives an iterator over one view of each image of this process's slice of each batch.

        Views are float32 (b, 3, S, S), normalised, on the device.

        Args:
            sampler: the batches of all processes.
            scale: [least, most] share of an image's area that a view shows.
            seed: with the step, what all that is random in a batch follows from.

        Raises:
            InputError: the store cannot be read or holds an image that cannot be decoded, or a worker died.
        """
        make = self._views_of_jpegs if self.info.kind == JPEG else self._views_of_arrays
        with make(sampler, scale, seed) as views:
            yield views

    @contextmanager
    def _views_of_arrays(
        self, sampler: EpochSampler, scale: Sequence[float], seed: int
    ) -> Iterator[Iterator[Tensor]]:
        images = torch.from_numpy(read_images(self.store, self.split, self.rows)).to(self.device)
        height, width = images.shape[1:3]

        def views(step: int, index: Tensor) -> Tensor:
            generator, own = _generator(seed, step), rank_slice(len(index))
            crops = sample_crops(len(index), height, width, scale, generator)[own]
            flips = _flips(len(index), generator)[own]
            cut_out = resized_crop(images[index[own].to(self.device)], crops, flips, self.side)
            return standardise_(cut_out, self.info.mean, self.info.std)

        yield (views(step, index) for step, index in sampler)

    @contextmanager
    def _views_of_jpegs(
        self, sampler: EpochSampler, scale: Sequence[float], seed: int
    ) -> Iterator[Iterator[Tensor]]:
        rows = torch.from_numpy(self.rows)
        batches = ((step, rows[index]) for step, index in sampler)
        crops = RandomCrops([EncodedImages(self.store, self.split)], 1, scale, self.side, seed, CROPS)

        def views(step: int, n_images: int, cut_out: Tensor) -> Tensor:
            flips = _flips(n_images, _generator(seed, step))[rank_slice(n_images)].to(self.device)
            batch = normalise(cut_out[0], self.info.mean, self.info.std)
            return torch.where(flips[:, None, None, None], batch.flip(3), batch)

        with random_crop_batches(crops, batches, sampler.batch_size, self.workers, self.device) as cut_outs:
            yield (
                views(step, len(index), cut_out)
                for (step, index), cut_out in zip(sampler, cut_outs, strict=True)
            )


def _generator(seed: int, step: int) -> Generator:
    return torch.Generator().manual_seed(stream_seed(seed, VIEWS, step))


def _flips(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator) < FLIP_P
