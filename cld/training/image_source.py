"""Where a run's views come from: arrays that live on the device, or JPEGs that processes decode and cut.

Either way a batch's views are augmented in one call on the device, with the step's generator. Where JPEGs are
cut is drawn by the processes: for each image of a step from a generator of its own, seeded by (seed, step,
place in the batch), so that it does not matter which process draws.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from cld.augment import Augment, sample_crops
from cld.decoding import cut, decoded, view_side
from cld.store import EncodedImages, StoreInfo, read_split
from cld.store.format import JPEG
from cld.training.streams import CROPS, stream_seed

#: Images a process decodes at a time: a batch is shared out, and the first one is soon there.
CHUNK = 16
AHEAD_BATCHES = 2

#: A batch: which images (B,) int64, on the device, and what draws their views, (V * B, 3, S, S), normalised.
Batch = tuple[Tensor, Callable[[Generator], Tensor]]


@contextmanager
def view_batches(
    store: str | Path,
    info: StoreInfo,
    config: Mapping,
    schedule: Iterable[tuple[int, Tensor]],
    device: torch.device,
) -> Iterator[Iterator[Batch]]:
    """Open a run's images; gives an iterator over its batches.

    Args:
        schedule: (step, which images (B,) int64) of each batch that is to come; iterated over more than once.
            The images of the splits ``train_on`` are counted through.

    Raises:
        InputError: the store cannot be read or holds an image that cannot be decoded, or a process died.
    """
    augment = Augment(config["augment"], view_side(config["image_size"], info), info.mean, info.std)
    indices = (index.to(device, non_blocking=True) for _, index in schedule)
    if info.kind != JPEG:
        n_views = config["views"]
        images = torch.from_numpy(read_split(store, config["train_on"]).images).to(device)  # N, H, W, 3
        yield ((index, partial(augment, images[index.repeat(n_views)])) for index in indices)
        return
    with _crop_batches(store, config, schedule, augment.image_size, device) as crops:
        yield ((index, partial(augment.of_crops, batch)) for index, batch in zip(indices, crops, strict=True))


@contextmanager
def _crop_batches(
    store: str | Path,
    config: Mapping,
    schedule: Iterable[tuple[int, Tensor]],
    side: int,
    device: torch.device,
) -> Iterator[Iterator[Tensor]]:
    """Gives an iterator over the batches' crops, uint8 (V * B, side, side, 3), view by view."""
    batch_size, workers = config["optimiser"]["batch_size"], config["workers"]
    chunk = min(CHUNK, -(-batch_size // max(workers, 1)))
    per_batch = -(-batch_size // chunk)
    jobs = (
        (step, place, index[place : place + chunk].tolist())
        for step, index in schedule
        for place in range(0, batch_size, chunk)
    )
    cutter = RandomCuts(store, config, side)
    with decoded(cutter, jobs, workers, AHEAD_BATCHES * per_batch, pin=device.type == "cuda") as chunks:
        on_device = (crops.to(device, non_blocking=True) for crops in chunks)
        # V, b, side, side, 3 each
        batches = zip(*[on_device] * per_batch, strict=True)
        yield (torch.cat(parts, dim=1).flatten(0, 1) for parts in batches)


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
