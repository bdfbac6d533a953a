"""Fine-tuning of a detector, resumable: what is random in an iteration follows from (seed, iteration).

Several processes that torchrun has started share out the images of each iteration. They draw the flips,
scales, anchors and proposals that one process draws, pad to the same size, normalise over the same images and
take the same step, but for the order in which sums are taken.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.optim import SGD
from torchvision.models.detection import FasterRCNN

from cld.data.view_batches import Schedule
from cld.evaluation.detection.data import AnnotatedImages, flipped
from cld.evaluation.detection.slices import batch_loss
from cld.runtime.distributed import (
    all_reduce_mean,
    data_parallel,
    print_rank0,
    rank,
    rank_slice,
    require_at_most,
)
from cld.runtime.errors import InputError
from cld.runtime.progress import no_progress, progress
from cld.runtime.rng import STEPS, stream_seed
from cld.training.resumable import Resumable

#: Batches of images that are decoded or under way before they are needed.
AHEAD = 2
#: The warm-up begins at this share of the learning rate.
WARMUP_START = 1e-3


@dataclass
class FineTuning:
    """A fine-tuning between two iterations."""

    detector: FasterRCNN
    optimiser: SGD
    iteration: int = 0

    def state(self) -> dict:
        """What :meth:`restore` goes on from."""
        return {
            "detector": self.detector.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "iteration": self.iteration,
        }

    def restore(self, state: Mapping) -> None:
        """Go on from the state of a fine-tuning of the same detector."""
        self.detector.load_state_dict(state["detector"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.iteration = state["iteration"]


def fine_tune(
    detector: FasterRCNN,
    images: AnnotatedImages,
    settings: Mapping,
    run: Mapping,
    partial: Resumable,
) -> None:
    """Train all of a detector, in place, from where it was left if it was started before.

    Args:
        images: training images; those without an object are left out.
        settings: the section ``detection``, ``schedule`` that of the store's dataset.
        run: the run's configuration: ``seed`` and ``workers`` hold here too.
        partial: where it is kept; the caller removes it once nothing needs it more.

    Raises:
        InputError: too few images, more processes than images in a step, ``partial`` is of another subject,
            or training diverged.
    """
    batch_size, n_iterations = settings["images_per_step"], settings["schedule"]["iterations"]
    if len(images.rows) < batch_size:
        raise InputError(
            f"{images.images.path}: {len(images.rows)} training images with objects do not fill a batch of "
            f"{batch_size}; lower detection.images_per_step"
        )
    require_at_most(batch_size, "images of a step (detection.images_per_step)")
    tuning = FineTuning(detector, build_optimiser(detector, settings))
    if kept := partial.load():
        tuning.restore(kept)
        print_rank0(f"resumed from iteration {tuning.iteration} of {partial.path}")
    seed, device = run["seed"], next(detector.parameters()).device
    first, own = tuning.iteration, rank_slice(batch_size)
    n_own = own.stop - own.start
    schedule = Schedule(seed, len(images.rows), batch_size, first, n_iterations)
    # it ends with an epoch, and fine-tuning anywhere in one
    batches = [
        (iteration, images.rows[index[own].numpy()].tolist())
        for iteration, index in islice(schedule, n_iterations - first)
    ]
    jobs = (row for _, rows in batches for row in rows)
    detector.train().transform.min_size = tuple(settings["scales"]["train"])
    forward = data_parallel(detector)
    shown = progress("fine-tune detector", n_iterations, "iterations", done=first)
    with (
        images.decoded(jobs, run["workers"], AHEAD * n_own, device) as pixels,
        shown if rank() == 0 else no_progress() as bar,
        partial.saving(tuning.state) as after_step,
    ):
        slices = zip(*[pixels] * n_own, strict=True)
        for (iteration, rows), batch in zip(batches, slices, strict=True):
            targets = [images.target(row, device) for row in rows]
            torch.manual_seed(stream_seed(seed, STEPS, iteration))
            loss = train_step(tuning, forward, batch, targets, batch_size, learning_rate(iteration, settings))
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
    flips = (torch.rand(batch_size) < 0.5)[rank_slice(batch_size)].tolist()
    pairs = [
        flipped(image, target) if flip else (image, target)
        for image, target, flip in zip(images, targets, flips, strict=True)
    ]
    loss = batch_loss(tuning.detector, forward(*map(list, zip(*pairs, strict=True))))
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


def build_optimiser(detector: nn.Module, settings: Mapping) -> SGD:
    """SGD on every weight; those of norms do not decay, as in Detectron2."""
    norms = [
        weights
        for module in detector.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for weights in module.parameters()
    ]
    of_norms = set(map(id, norms))
    others = [weights for weights in detector.parameters() if id(weights) not in of_norms]
    groups = [
        {"params": others, "weight_decay": settings["weight_decay"]},
        {"params": norms, "weight_decay": 0.0},
    ]
    return SGD(groups, settings["lr"], settings["momentum"])


def learning_rate(iteration: int, settings: Mapping) -> float:
    """Learning rate of an iteration, from 0: a linear warm-up, then times ``gamma`` at each of the steps."""
    lr = settings["lr"] * settings["gamma"] ** sum(iteration >= at for at in settings["schedule"]["steps"])
    warmup = settings["warmup_iterations"]
    if iteration >= warmup:
        return lr
    return lr * (WARMUP_START + (1 - WARMUP_START) * iteration / warmup)
