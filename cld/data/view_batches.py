"""Augmented views of a run's batches: of arrays that live on the device, or of JPEGs that workers decode.

A batch's views are augmented in one call on the device, with the step's generator. Crops of JPEGs are drawn
by the workers, see :mod:`cld.data.random_crops`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Generator, Tensor

from cld.augment.views import Augment
from cld.data import EncodedImages, StoreInfo, read_split
from cld.data.epoch_sampler import EpochSampler, rank_slice
from cld.data.random_crops import RandomCrops, random_crop_batches
from cld.data.store_format import JPEG, view_side
from cld.runtime.distributed import world_size

#: Part of a batch: which images (b,) int64, on the device, and what draws their normalised views,
#: (V * b, 3, S, S).
Part = tuple[Tensor, Callable[[Generator], Tensor]]


@contextmanager
def view_batches(
    store: str | Path,
    info: StoreInfo,
    config: Mapping,
    sampler: EpochSampler,
    device: torch.device,
) -> Iterator[Iterator[list[Part]]]:
    """Open a run's images; gives an iterator over this process's slice of each batch, in parts.

    Args:
        config: resolved configuration of the run.
        sampler: the batches. Its images are those of the splits ``train_on``, one split after another.

    Raises:
        InputError: the store cannot be read or holds an image that cannot be decoded, or a worker died.
    """
    augment = Augment(config["augment"], view_side(config["image_size"], info), info.mean, info.std)
    n_parts, n_views = config["optimiser"]["parts"] // world_size(), config["views"]
    own = (index[rank_slice(len(index))] for _, index in sampler)
    indices = (index.to(device, non_blocking=True).chunk(n_parts) for index in own)
    if info.kind != JPEG:
        images = torch.from_numpy(read_split(store, config["train_on"]).images).to(device)  # N, H, W, 3
        yield (
            [(index, partial(augment, images[index.repeat(n_views)])) for index in parts] for parts in indices
        )
        return
    splits = [EncodedImages(store, split) for split in config["train_on"]]
    scale = config["augment"]["crop_scale"]
    crops = RandomCrops(splits, n_views, scale, augment.image_size, config["seed"])
    with random_crop_batches(crops, sampler, sampler.batch_size, config["workers"], device) as batches:
        yield (
            [
                (index, partial(augment.of_crops, crops.flatten(0, 1)))
                for index, crops in zip(parts, batch.chunk(n_parts, dim=1), strict=True)
            ]
            for parts, batch in zip(indices, batches, strict=True)
        )
