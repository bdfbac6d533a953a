"""Fine-tuning of a detector, resumable: what is random in an iteration follows from (seed, iteration).

Several processes that torchrun has started share out the images of each iteration: plain data parallelism.
Each draws the flips, scales, anchors and proposals of its own images, and pads them to one size. Batch
normalisation is over the images of all.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torchvision.models.detection import FasterRCNN

from cld.data.epoch_sampler import EpochSampler
from cld.evaluation.detection.data import AnnotatedImages, flipped
from cld.runtime.distributed import (
    all_reduce_mean,
    data_parallel,
    print_rank0,
    rank,
    rank_slice,
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


@dataclass
class FineTuning:
    """A fine-tuning between two iterations."""

    detector: FasterRCNN
    optimiser: Optimizer
    iteration: int = 0

    def state(self) -> dict:
        """What :meth:`restore` resumes from."""
        return {
            "detector": self.detector.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "iteration": self.iteration,
        }

    def restore(self, state: Mapping) -> None:
        """Resume from the state of a fine-tuning of the same detector."""
        self.detector.load_state_dict(state["detector"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.iteration = state["iteration"]


def fine_tune(
    detector: FasterRCNN,
    images: AnnotatedImages,
    settings: Mapping,
    run: Mapping,
    resumable: Resumable,
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
    tuning = FineTuning(detector, build_optimiser(detector, settings))
    if state := resumable.load():
        tuning.restore(state)
        print_rank0(f"resumed from iteration {tuning.iteration} of {resumable.path}")
    seed, device = run["seed"], next(detector.parameters()).device
    first, own = tuning.iteration, rank_slice(batch_size)
    n_own = own.stop - own.start
    rate = learning_rate(settings)
    sampler = EpochSampler(seed, len(images.rows), batch_size, first, n_iterations)
    jobs = (row for _, index in sampler for row in images.rows[index[own].numpy()].tolist())
    detector.train().transform.min_size = tuple(settings["scales"]["train"])
    forward = data_parallel(detector)
    with (
        images.decoded(jobs, run["workers"], AHEAD * n_own, device) as pixels,
        progress("fine-tune detector", n_iterations, "iterations", done=first, shown=rank() == 0) as bar,
        resumable.saving(tuning.state) as after_step,
    ):
        slices = zip(*[pixels] * n_own, strict=True)
        for (iteration, index), batch in zip(sampler, slices, strict=True):
            targets = [images.target(row, device) for row in images.rows[index[own].numpy()].tolist()]
            torch.manual_seed(stream_seed(seed, STEPS, iteration, rank()))
            loss = train_step(tuning, forward, batch, targets, batch_size, rate.at(iteration))
            bar.advance(note=f"loss {loss:.3f}")
            after_step(f"iteration {tuning.iteration}")


def train_step(
    tuning: FineTuning,
    forward: Callable[..., dict[str, Tensor]],
    images: tuple[Tensor, ...],
    targets: list[dict[str, Tensor]],
    batch_size: int,
    lr: float,
) -> float:
    """One step of SGD; half of the images are flipped. What is random comes from torch's global generator.

    Args:
        forward: the detector, as :func:`cld.runtime.distributed.data_parallel` gives it.
        images: (3, H, W) each, in [0, 1]: this process's slice of the batch.
        targets: their objects, see :meth:`AnnotatedImages.target`.
        batch_size: images of all processes.
        lr: learning rate.

    Returns:
        The loss.

    Raises:
        InputError: it is not finite.
    """
    flips = (torch.rand(len(images)) < 0.5).tolist()
    pairs = [
        flipped(image, target) if flip else (image, target)
        for image, target, flip in zip(images, targets, flips, strict=True)
    ]
    losses = forward(*map(list, zip(*pairs, strict=True)))
    # a mean over the slice, of which the mean over the processes is that over the batch
    loss = sum(losses.values()) * (world_size() * len(images) / batch_size)
    mean = all_reduce_mean(loss).item()
    if not math.isfinite(mean):
        raise InputError(
            f"fine-tuning diverged in iteration {tuning.iteration}: the loss is {mean}; lower "
            "detection.lr or raise detection.warmup_iterations"
        )
    for group in tuning.optimiser.param_groups:
        group["lr"] = lr
    tuning.optimiser.zero_grad()
    loss.backward()
    tuning.optimiser.step()
    tuning.iteration += 1
    return mean


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


def learning_rate(settings: Mapping) -> LearningRate:
    """By iteration: a linear warm-up, then times ``gamma`` at each of the schedule's steps."""
    return LearningRate(
        settings["lr"],
        warmup_steps=settings["warmup_iterations"],
        warmup_start=settings["lr"] * WARMUP_START,
        milestones=settings["schedule"]["steps"],
        gamma=settings["gamma"],
    )
