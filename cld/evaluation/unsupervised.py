"""Two scores that need no labels, to choose λ, T or the number of groups by.

Both compare two random views of the same images: a good encoder groups the views alike, and finds an image's
second view by its first among all images'. The views are the same for every run that trains with the same
augmentation.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from cld.augment.views import Augment
from cld.data import EncodedImages, read_info
from cld.data.arrays import read_images
from cld.data.decoding import decoded
from cld.data.labels import require_within
from cld.data.random_crops import RandomCrops
from cld.data.store_format import JPEG
from cld.evaluation.nmi import best_grouping, mutual_information
from cld.evaluation.retrieval import nearest_rows
from cld.evaluation.scored_run import ScoredRun, load_scored_run
from cld.evaluation.statistics import packed_hits
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from cld.runtime.rng import STEPS, stream_seed

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
    """
    info, split = read_info(store), settings["split"]
    if split not in info.sizes:
        raise InputError(f"{store}: no split '{split}'; it has {', '.join(info.sizes)}")
    rows = np.arange(info.sizes[split])
    if len(rows) > settings["max_images"]:
        chosen = np.random.default_rng(settings["seed"]).choice(rows, settings["max_images"], replace=False)
        rows = np.sort(chosen)
    run = load_scored_run(store, checkpoint, device_name)
    settings = {**settings, "groups": settings["groups"] or run.config["cld"]["n_groups"]}
    require_within("unsupervised.groups", settings["groups"], len(rows), f"the images of split '{split}'")
    first, second = features_of_views(run, rows, settings)
    # two seeds: the same draws would start both from the same images
    groups = [
        best_grouping(features, {**settings, "seed": stream_seed(settings["seed"], STEPS, view)})
        for view, features in enumerate((first, second))
    ]
    hits = nearest_rows(first, second, 1, is_same=False)[:, 0].cpu().numpy() == np.arange(len(rows))
    metrics = {"view_nmi": mutual_information(*groups), "view_retrieval": 100 * float(hits.mean())}
    details = {"n": len(rows), "hits": {"view_retrieval": packed_hits(hits)}, "configuration": run.config}
    return run.score(settings, metrics, details)


@torch.inference_mode()
def features_of_views(run: ScoredRun, rows: np.ndarray, settings: Mapping) -> tuple[Tensor, Tensor]:
    """Instance features (N, d) of two random views of images, augmented as the run's training does.

    Args:
        rows: (N,), which images of the settings' split.
    """
    features = []
    with progress("features of two views", len(rows), "images") as bar:
        for views in _view_batches(run, rows, settings["split"], settings["seed"]):
            features.append(run.encoder(views).unflatten(0, (2, -1)))
            bar.advance(len(views) // 2)
    first, second = torch.cat(features, dim=1)
    return first, second


def _view_batches(run: ScoredRun, rows: np.ndarray, split: str, seed: int) -> Iterator[Tensor]:
    """Normalised views (2 * B, 3, S, S) of BATCH images at a time: all first views, then all second ones."""
    config = dict(run.config["augment"])
    # of what has a probability for each view, the first two; a single one stands for both
    config |= {key: (2 * config[key])[:2] for key in BY_VIEW if isinstance(config[key], list)}
    augment = Augment(config, run.side, run.info.mean, run.info.std)
    batches = [rows[start : start + BATCH].tolist() for start in range(0, len(rows), BATCH)]
    generators = [
        torch.Generator().manual_seed(stream_seed(seed, STEPS, number)) for number in range(len(batches))
    ]
    if run.info.kind != JPEG:
        for batch, generator in zip(batches, generators, strict=True):
            images = torch.from_numpy(read_images(run.store, split, batch)).to(run.device)
            yield augment(images.repeat(2, 1, 1, 1), generator)
        return
    jobs = ((0, BATCH * number, batch) for number, batch in enumerate(batches))
    cutter = RandomCrops([EncodedImages(run.store, split)], 2, config["crop_scale"], run.side, seed)
    with decoded(cutter, jobs, run.config["workers"], AHEAD_BATCHES, run.device) as cut:
        for crops, generator in zip(cut, generators, strict=True):
            yield augment.of_crops(crops.flatten(0, 1), generator)
