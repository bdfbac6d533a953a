"""Fine-tuning of a detector, resumable: what is random in an iteration follows from (seed, iteration).

Several processes that torchrun has started share out the images of each iteration: plain data parallelism.
Each draws the flips, scales, anchors and proposals of its own images, and pads them to one size. Batch
normalisation is over the images of all.
"""

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.optim import Optimizer
from torchvision.models.detection import FasterRCNN

from cld.data.epoch_sampler import EpochSampler, rank_slice
from cld.evaluation.detection.data import AnnotatedImages, flipped_by_half
from cld.runtime.distributed import (
    all_reduce_mean,
    data_parallel,
    print_rank0,
    rank,
    require_at_most,
    world_size,
)
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from cld.runtime.rng import STEPS, stream_seed
from cld.training.resumable import Resumable
from cld.training.schedule import LearningRate

#: Batches of images that are decoded or under way before they are needed.
AHEAD = 2
#: The warm-up begins at this share of the learning rate.
WARMUP_START = 1e-3


def fine_tune(
    detector: FasterRCNN, images: AnnotatedImages, settings: Mapping, run: Mapping, resumable: Resumable
) -> None:
    """Train all of a detector, in place; resumes from a saved state.

    Args:
        images: training images; those without an object are left out.
        settings: the section ``detection``, ``schedule`` that of the store's dataset.
        run: the run's configuration: ``seed`` and ``workers`` hold here too.
        resumable: where its state is kept; the caller removes it once it has the result.

    Raises:
        InputError: too few images, more processes than images in a step, the saved state is of another
            subject, or training diverged.
    """
    batch_size, n_iterations = settings["images_per_step"], settings["schedule"]["iterations"]
    if len(images.rows) < batch_size:
        raise InputError(
            f"{images.images.path}: {len(images.rows)} training images with objects do not fill a batch of "
            f"{batch_size}; lower detection.images_per_step"
        )
    require_at_most(batch_size, "images of a step (detection.images_per_step)")
    n_done, optimiser = 0, build_optimiser(detector, settings)
    if saved := resumable.load():
        detector.load_state_dict(saved["detector"])
        optimiser.load_state_dict(saved["optimiser"])
        n_done = saved["iteration"]
        print_rank0(f"resumed from iteration {n_done} of {resumable.path}")

    def state() -> dict:
        states = {"detector": detector.state_dict(), "optimiser": optimiser.state_dict()}
        return {**states, "iteration": n_done}

    seed, device, own = run["seed"], next(detector.parameters()).device, rank_slice(batch_size)
    n_own = own.stop - own.start
    rate = LearningRate(
        settings["lr"],
        warmup_steps=settings["warmup_iterations"],
        warmup_start=settings["lr"] * WARMUP_START,
        milestones=settings["schedule"]["steps"],
        gamma=settings["gamma"],
    )
    sampler = EpochSampler(seed, len(images.rows), batch_size, n_done, n_iterations)
    jobs = (row for _, index in sampler for row in images.rows[index[own].numpy()].tolist())
    detector.train().transform.min_size = tuple(settings["scales"]["train"])
    forward = data_parallel(detector)
    with (
        images.decoded(jobs, run["workers"], AHEAD * n_own, device) as pixels,
        progress("fine-tune detector", n_iterations, "iterations", done=n_done, shown=rank() == 0) as bar,
        resumable.saving(state) as after_step,
    ):
        slices = zip(*[pixels] * n_own, strict=True)
        for (iteration, index), batch in zip(sampler, slices, strict=True):
            targets = [images.target(row, device) for row in images.rows[index[own].numpy()].tolist()]
            torch.manual_seed(stream_seed(seed, STEPS, iteration, rank()))
            losses = forward(*flipped_by_half(batch, targets))
            # a mean over the slice, of which the mean over the processes is that over the batch
            loss = sum(losses.values()) * (world_size() * n_own / batch_size)
            mean = all_reduce_mean(loss).item()
            if not math.isfinite(mean):
                raise InputError(
                    f"fine-tuning diverged in iteration {iteration}: the loss is {mean}; lower "
                    "detection.lr or raise detection.warmup_iterations"
                )
            for group in optimiser.param_groups:
                group["lr"] = rate.at(iteration)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            n_done = iteration + 1
            bar.advance(note=f"loss {mean:.3f}")
            after_step(f"iteration {n_done}")


def build_optimiser(detector: nn.Module, settings: Mapping) -> Optimizer:
    """SGD on every weight; those of norms do not decay, as in Detectron2."""
    norms = [
        weights
        for module in detector.modules()
        if hasattr(module, "running_mean")  # batch normalisation, of whatever kind
        for weights in module.parameters()
    ]
    of_norms = set(map(id, norms))
    others = [weights for weights in detector.parameters() if id(weights) not in of_norms]
    groups = [
        {"params": others, "weight_decay": settings["weight_decay"]},
        {"params": norms, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, settings["lr"], settings["momentum"])
