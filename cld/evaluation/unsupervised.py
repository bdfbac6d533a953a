"""Two scores that need no labels, to choose λ, T or the number of groups by.

Both compare two random views of the same images: a good encoder groups the views alike, and finds an image's
second view by its first among all images'. The views are the same for every run that trains with the same
augmentation.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cld.augment.views import Augment
from cld.data import EncodedImages, StoreInfo, read_info
from cld.data.arrays import read_images
from cld.data.decoding import decoded, view_side
from cld.data.random_crops import RandomCrops
from cld.data.store_format import JPEG
from cld.evaluation.nmi import best_grouping, mutual_information, require_groups
from cld.evaluation.retrieval import nearest_rows
from cld.evaluation.statistics import packed_hits
from cld.runtime.device import resolve_device
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from cld.runtime.rng import STEPS, stream_seed
from cld.training.checkpoint import load_encoder
from cld.training.run_id import run_id

#: Images whose views are drawn at a time.
BATCH = 64
AHEAD_BATCHES = 4
#: Keys of ``augment`` that may have a value for each view.
BY_VIEW = ("blur_p", "solarize_p")


def score_unsupervised(
    store: str, settings: Mapping, checkpoint: str, device_name: str | None = None
) -> dict:
    """NMI between the groupings of two views, and how often an image's views find each other.

    Of splits with more than ``max_images`` a random sample takes part, the same every time. Labels are not
    read.

    Raises:
        InputError: the split or a setting does not suit.
    """
    device, info, split = resolve_device(device_name), read_info(store), settings["split"]
    if split not in info.sizes:
        raise InputError(f"{store}: no split '{split}'; it has {', '.join(info.sizes)}")
    rows = np.arange(info.sizes[split])
    if len(rows) > settings["max_images"]:
        chosen = np.random.default_rng(settings["seed"]).choice(rows, settings["max_images"], replace=False)
        rows = np.sort(chosen)
    encoder, config = load_encoder(checkpoint, device)
    settings = {**settings, "groups": settings["groups"] or config["cld"]["n_groups"]}
    require_groups(settings["groups"], len(rows), split, "unsupervised.groups")
    first, second = features_of_views(encoder, config, store, info, rows, settings, device)
    # two seeds: the same draws would start both from the same images
    groups = [
        best_grouping(features, {**settings, "seed": stream_seed(settings["seed"], STEPS, view)})
        for view, features in enumerate((first, second))
    ]
    hits = nearest_rows(first, second, 1, is_same=False)[:, 0].cpu().numpy() == np.arange(len(rows))
    return {
        "run": run_id(config),
        "seed": config["seed"],
        "metrics": {"view_nmi": mutual_information(*groups), "view_retrieval": 100 * float(hits.mean())},
        "settings": settings,
        "details": {
            "n": len(rows),
            "hits": {"view_retrieval": packed_hits(hits)},
            "configuration": config,
        },
    }


@torch.inference_mode()
def features_of_views(
    encoder: nn.Module,
    config: Mapping,
    store: str | Path,
    info: StoreInfo,
    rows: np.ndarray,
    settings: Mapping,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Instance features (N, d) of two random views of images, augmented as the run's training does.

    Args:
        config: the run's resolved configuration.
        rows: (N,), which images of the split.
        settings: ``split`` and ``seed``.
    """
    # of what has a probability for each view, the first two; a single one stands for both
    by_view = {
        key: (2 * config["augment"][key])[:2] for key in BY_VIEW if isinstance(config["augment"][key], list)
    }
    config = {
        **config,
        "augment": {**config["augment"], **by_view},
        "views": 2,
        "train_on": [settings["split"]],
        "seed": settings["seed"],
    }
    features = []
    with progress("features of two views", len(rows), "images") as bar:
        for views in _view_batches(config, store, info, rows, device):
            features.append(encoder(views).unflatten(0, (2, -1)))
            bar.advance(len(views) // 2)
    first, second = torch.cat(features, dim=1)
    return first, second


def _view_batches(
    config: Mapping, store: str | Path, info: StoreInfo, rows: np.ndarray, device: torch.device
) -> Iterator[Tensor]:
    """Normalised views (2 * B, 3, S, S) of BATCH images at a time: all first views, then all second ones."""
    side = view_side(config["image_size"], info)
    augment = Augment(config["augment"], side, info.mean, info.std)
    batches = [rows[start : start + BATCH].tolist() for start in range(0, len(rows), BATCH)]
    generators = (
        torch.Generator().manual_seed(stream_seed(config["seed"], STEPS, number))
        for number in range(len(batches))
    )
    if info.kind != JPEG:
        for batch, generator in zip(batches, generators, strict=True):
            images = torch.from_numpy(read_images(store, config["train_on"][0], batch)).to(device)
            yield augment(images.repeat(2, 1, 1, 1), generator)
        return
    jobs = ((0, BATCH * number, batch) for number, batch in enumerate(batches))
    is_pinned = device.type == "cuda"
    splits = [EncodedImages(store, split) for split in config["train_on"]]
    cutter = RandomCrops(splits, 2, config["augment"]["crop_scale"], side, config["seed"])
    with decoded(cutter, jobs, config["workers"], AHEAD_BATCHES, is_pinned) as cut:
        for crops, generator in zip(cut, generators, strict=True):
            yield augment.of_crops(crops.to(device, non_blocking=True).flatten(0, 1), generator)
