"""Where a run's views come from: arrays that live on the device, or JPEGs that processes decode and cut.

Either way a batch's views are augmented in one call on the device, with the step's generator. Where JPEGs are
cut is drawn by the processes: for each image of a step from a generator of its own, seeded by (seed, step,
place in the batch), so that it does not matter which process draws.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from cld.augment.views import Augment, sample_crops
from cld.data import EncodedImages, StoreInfo, read_split
from cld.data.decoding import cut, decoded, view_side
from cld.data.store_format import JPEG
from cld.runtime.rng import CROPS, epoch_batches, stream_seed

#: Images a process decodes at a time: a batch is shared out, and the first one is soon there.
CHUNK = 16
AHEAD_BATCHES = 2

#: Part of a batch: which images (b,) int64, on the device, and what draws their normalised views,
#: (V * b, 3, S, S).
Part = tuple[Tensor, Callable[[Generator], Tensor]]


@dataclass(frozen=True)
class Schedule:
    """Which images the steps from ``first`` until ``stop`` show; iterates over (step, (b,) int64).

    Of each batch one process takes the slice that is its ``rank``'s of ``n_processes``.
    """

    seed: int
    n_images: int
    batch_size: int
    first: int
    stop: int
    rank: int = 0
    n_processes: int = 1

    @property
    def start(self) -> int:
        """Where in the batch the slice begins."""
        return self.rank * self.size

    @property
    def size(self) -> int:
        """b, the images of a slice."""
        return self.batch_size // self.n_processes

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        steps_per_epoch, step = self.n_images // self.batch_size, self.first
        while step < self.stop:
            epoch, done = divmod(step, steps_per_epoch)
            for index in epoch_batches(self.seed, epoch, self.n_images, self.batch_size)[done:]:
                yield step, index[self.start : self.start + self.size]
                step += 1


@contextmanager
def view_batches(
    store: str | Path,
    info: StoreInfo,
    config: Mapping,
    schedule: Schedule,
    device: torch.device,
) -> Iterator[Iterator[list[Part]]]:
    """Open a run's images; gives an iterator over what this process has of its batches, in parts.

    Args:
        schedule: the batches that are to come. The images of the splits ``train_on`` are counted through.

    Raises:
        InputError: the store cannot be read or holds an image that cannot be decoded, or a process died.
    """
    augment = Augment(config["augment"], view_side(config["image_size"], info), info.mean, info.std)
    n_parts = config["optimiser"]["parts"] // schedule.n_processes
    indices = (index.to(device, non_blocking=True).chunk(n_parts) for _, index in schedule)
    if info.kind != JPEG:
        n_views = config["views"]
        images = torch.from_numpy(read_split(store, config["train_on"]).images).to(device)  # N, H, W, 3
        yield (
            [(index, partial(augment, images[index.repeat(n_views)])) for index in parts] for parts in indices
        )
        return
    with _crop_batches(store, config, schedule, augment.image_size, device) as batches:
        yield (
            [
                (index, partial(augment.of_crops, crops.flatten(0, 1)))
                for index, crops in zip(parts, batch.chunk(n_parts, dim=1), strict=True)
            ]
            for parts, batch in zip(indices, batches, strict=True)
        )


@contextmanager
def _crop_batches(
    store: str | Path,
    config: Mapping,
    schedule: Schedule,
    side: int,
    device: torch.device,
) -> Iterator[Iterator[Tensor]]:
    """Gives an iterator over the batches' crops, uint8 (V, b, side, side, 3)."""
    workers = config["workers"]
    chunk = min(CHUNK, -(-schedule.size // max(workers, 1)))
    per_batch = -(-schedule.size // chunk)
    jobs = (
        (step, schedule.start + place, index[place : place + chunk].tolist())
        for step, index in schedule
        for place in range(0, schedule.size, chunk)
    )
    cutter = RandomCuts(store, config, side)
    with decoded(cutter, jobs, workers, AHEAD_BATCHES * per_batch, pin=device.type == "cuda") as chunks:
        on_device = (crops.to(device, non_blocking=True) for crops in chunks)
        # V, b, side, side, 3 each
        batches = zip(*[on_device] * per_batch, strict=True)
        yield (torch.cat(parts, dim=1) for parts in batches)


class RandomCuts:
    """What a process does with part of a batch: decode each image once and cut its views out of it.

    Args:
        store: file of JPEGs.
        config: resolved configuration of the run.
        side: height and width of the views.
    """

    def __init__(self, store: str | Path, config: Mapping, side: int):
        self.splits = [EncodedImages(store, split) for split in config["train_on"]]
        self.starts = np.cumsum([0, *map(len, self.splits)])
        self.n_views, self.scale = config["views"], config["augment"]["crop_scale"]
        self.seed, self.side = config["seed"], side

    def __call__(self, job: tuple[int, int, list[int]]) -> np.ndarray:
        """The crops of the images ``rows`` that stand from ``place`` on in the batch of a step.

        Returns:
            uint8 (V, len(rows), side, side, 3).

        Raises:
            InputError: an image cannot be decoded.
        """
        step, place, rows = job
        crops = np.empty((self.n_views, len(rows), self.side, self.side, 3), np.uint8)
        for i, row in enumerate(rows):
            split = int(np.searchsorted(self.starts, row, side="right")) - 1
            generator = torch.Generator().manual_seed(stream_seed(self.seed, CROPS, step, place + i))
            regions_of = partial(self._regions, generator)
            crops[:, i] = cut(self.splits[split], row - int(self.starts[split]), regions_of, self.side)
        return crops

    def _regions(self, generator: Generator, height: int, width: int) -> np.ndarray:
        return sample_crops(self.n_views, height, width, self.scale, generator).numpy()
