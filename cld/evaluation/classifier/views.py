"""Views of some images of a split: random ones to train a classifier on, and those of testing to score it.

Small images stay on the device as bytes and a batch's views are made of them in one call; JPEGs are decoded
and cut ahead of time by processes, each from a generator of its own, so that it does not matter which process
draws. Random views are those of MoCo's linear protocol: RandomResizedCrop and a horizontal flip.

Where torchrun has started several processes, each makes the views of its slice of every batch, the same ones
as one process alone, and its share of those of testing.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from cld.augment.views import normalise, resized_crop, sample_crops, standardise_
from cld.data import EncodedImages, StoreInfo
from cld.data.arrays import read_images
from cld.data.decoding import cut, decoded
from cld.data.features import centres
from cld.data.store_format import JPEG
from cld.runtime.distributed import rank_slice
from cld.runtime.rng import stream_seed

#: Streams of random numbers, apart from those of pre-training.
VIEWS, CROPS = 16, 17
FLIP_P = 0.5
TEST_BATCH = 256
#: JPEGs a process decodes at a time, and how many such jobs are under way.
CHUNK = 16
AHEAD = 32

#: Batches to come: (step, places (B,) int64 in the rows). Iterated over more than once.
Schedule = Iterable[tuple[int, Tensor]]
#: Opens an iterator over batches of views, float32 (B, 3, S, S), normalised, on the device.
Views = Iterator[Iterator[Tensor]]


class Images(Protocol):
    """Some images of a split."""

    def __len__(self) -> int: ...

    def random_views(self, schedule: Schedule, scale: Sequence[float], seed: int) -> Views:
        """One random view of each image of this process's slice of each batch; a context manager.

        Args:
            schedule: the batches of all processes.
            scale: [least, most] share of an image's area that a view shows.
            seed: with the step, what all that is random in a batch follows from.
        """

    def test_views(self) -> Views:
        """This process's images once, in order, under the transforms of testing; a context manager."""


def open_images(
    store: str | Path,
    split: str,
    rows: np.ndarray,
    info: StoreInfo,
    side: int,
    device: torch.device,
    workers: int,
) -> Images:
    """The images ``rows`` of a split, to be seen at ``side`` pixels.

    Raises:
        InputError: the store cannot be read or has no such split.
    """
    if info.kind == JPEG:
        return _Jpegs(EncodedImages(store, split), rows, info, side, device, workers)
    return _Arrays(torch.from_numpy(read_images(store, split, rows)).to(device), info, side)


def _flips(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator) < FLIP_P


def _chunks(images: slice) -> list[slice]:
    """The jobs of some images in a row."""
    starts = range(images.start, images.stop, CHUNK)
    return [slice(start, min(start + CHUNK, images.stop)) for start in starts]


class _Arrays:
    def __init__(self, pixels: Tensor, info: StoreInfo, side: int):
        self.pixels, self.info, self.side = pixels, info, side  # pixels: uint8 (N, H, W, 3)

    def __len__(self) -> int:
        return len(self.pixels)

    @contextmanager
    def random_views(self, schedule: Schedule, scale: Sequence[float], seed: int) -> Views:
        height, width = self.pixels.shape[1:3]

        def views(step: int, places: Tensor) -> Tensor:
            generator = torch.Generator().manual_seed(stream_seed(seed, VIEWS, step))
            crops = sample_crops(len(places), height, width, scale, generator)
            flip, own = _flips(len(places), generator), rank_slice(len(places))
            pixels = self.pixels[places[own].to(self.pixels.device)]
            cut_out = resized_crop(pixels, crops[own], flip[own], self.side)
            return standardise_(cut_out, self.info.mean, self.info.std)

        yield (views(step, places) for step, places in schedule)

    @contextmanager
    def test_views(self) -> Views:
        mean, std = self.info.mean, self.info.std
        own = self.pixels[rank_slice(len(self.pixels))]
        yield (normalise(batch, mean, std, self.side) for batch in own.split(TEST_BATCH))


class _Jpegs:
    def __init__(
        self,
        images: EncodedImages,
        rows: np.ndarray,
        info: StoreInfo,
        side: int,
        device: torch.device,
        workers: int,
    ):
        self.images, self.rows, self.info, self.side = images, rows, info, side
        self.device, self.workers = device, workers

    def __len__(self) -> int:
        return len(self.rows)

    @contextmanager
    def random_views(self, schedule: Schedule, scale: Sequence[float], seed: int) -> Views:
        jobs = (
            (step, part.start, self.rows[places[part].numpy()].tolist())
            for step, places in schedule
            for part in _chunks(rank_slice(len(places)))
        )
        cutter = _RandomCuts(self.images, self.side, tuple(scale), seed)
        with self._decoded(cutter, jobs) as chunks:

            def views(step: int, places: Tensor) -> Tensor:
                own = rank_slice(len(places))
                batch = self._normalised(torch.cat([next(chunks) for _ in _chunks(own)]))
                generator = torch.Generator().manual_seed(stream_seed(seed, VIEWS, step))
                flip = _flips(len(places), generator)[own]
                return torch.where(flip.to(self.device)[:, None, None, None], batch.flip(3), batch)

            yield (views(step, places) for step, places in schedule)

    @contextmanager
    def test_views(self) -> Views:
        parts = (self.rows[part].tolist() for part in _chunks(rank_slice(len(self))))
        with self._decoded(partial(centres, self.images, self.side), parts) as chunks:
            yield map(self._normalised, chunks)

    def _decoded(self, cutter: object, jobs: Iterable) -> Views:
        return decoded(cutter, jobs, self.workers, AHEAD, pin=self.device.type == "cuda")

    def _normalised(self, pixels: Tensor) -> Tensor:
        return normalise(pixels.to(self.device, non_blocking=True), self.info.mean, self.info.std)


class _RandomCuts:
    """What a process does with part of a batch: decode each image and cut its view out of it."""

    def __init__(self, images: EncodedImages, side: int, scale: tuple[float, float], seed: int):
        self.images, self.side, self.scale, self.seed = images, side, scale, seed

    def __call__(self, job: tuple[int, int, list[int]]) -> np.ndarray:
        """Cut outs, uint8 (len(rows), side, side, 3), of the images that stand from a place on in a step."""
        step, place, rows = job
        return np.concatenate([self._cut(step, place + i, row) for i, row in enumerate(rows)])

    def _cut(self, step: int, place: int, row: int) -> np.ndarray:
        generator = torch.Generator().manual_seed(stream_seed(self.seed, CROPS, step, place))

        def region(height: int, width: int) -> np.ndarray:
            return sample_crops(1, height, width, self.scale, generator).numpy()

        return cut(self.images, row, region, self.side)
