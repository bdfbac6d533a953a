"""Random views to train a classifier on: those of MoCo's linear protocol, RandomResizedCrop and a flip.

Images of a store of arrays stay on the device, and a batch's views are made of them in one call. JPEGs are
decoded and cut ahead of time by worker processes. Several processes that torchrun has started each make the
views of their slice of every batch, the same ones that one process makes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Generator, Tensor

from cld.augment.views import normalise, resized_crop, sample_crops, standardise_
from cld.data import EncodedImages
from cld.data.arrays import read_images
from cld.data.epoch_sampler import EpochSampler, rank_slice
from cld.data.random_crops import RandomCrops, random_crop_batches
from cld.data.store_format import JPEG
from cld.evaluation.scored_run import ScoredRun
from cld.runtime.rng import stream_seed

#: Streams of random numbers, apart from those of pre-training.
VIEWS, CROPS = 16, 17
FLIP_P = 0.5


@contextmanager
def random_views(
    run: ScoredRun, rows: np.ndarray, sampler: EpochSampler, scale: Sequence[float]
) -> Iterator[Iterator[Tensor]]:
    """Gives an iterator over one view of each training image of this process's slice of each batch.

    Views are float32 (b, 3, S, S), normalised, on the run's device. All that is random in a batch follows
    from the sampler's seed and the step.

    Args:
        rows: (N,) int64, the images of split train that the sampler counts through.
        sampler: the batches of all processes.
        scale: [least, most] share of an image's area that a view shows.
    """
    mean, std, seed = run.info.mean, run.info.std, sampler.seed
    if run.info.kind != JPEG:
        images = torch.from_numpy(read_images(run.store, "train", rows)).to(run.device)
        height, width = images.shape[1:3]

        def view_arrays(step: int, index: Tensor) -> Tensor:
            generator, own = _generator(seed, step), rank_slice(len(index))
            crops = sample_crops(len(index), height, width, scale, generator)[own]
            flips = _flips(len(index), generator)[own]
            return standardise_(
                resized_crop(images[index[own].to(run.device)], crops, flips, run.side), mean, std
            )

        yield (view_arrays(step, index) for step, index in sampler)
        return

    def view_jpegs(step: int, n_images: int, crops: Tensor) -> Tensor:
        flips = _flips(n_images, _generator(seed, step))[rank_slice(n_images)].to(run.device)
        batch = normalise(crops[0], mean, std)
        return torch.where(flips[:, None, None, None], batch.flip(3), batch)

    batches = ((step, torch.from_numpy(rows)[index]) for step, index in sampler)
    cutter = RandomCrops([EncodedImages(run.store, "train")], 1, scale, run.side, seed, CROPS)
    workers = run.config["workers"]
    with random_crop_batches(cutter, batches, sampler.batch_size, workers, run.device) as cut_outs:
        yield (
            view_jpegs(step, len(index), crops)
            for (step, index), crops in zip(sampler, cut_outs, strict=True)
        )


def _generator(seed: int, step: int) -> Generator:
    return torch.Generator().manual_seed(stream_seed(seed, VIEWS, step))


def _flips(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, generator=generator) < FLIP_P
