"""Fine-tuning of a detector, resumable: what is random in an iteration follows from (seed, iteration)."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN

from cld.config import flat
from cld.errors import InputError
from cld.evaluation.detection.data import AnnotatedImages, flipped
from cld.progress import progress
from cld.training.checkpoint import load_checkpoint, save_checkpoint
from cld.training.image_source import Schedule
from cld.training.loop import stop_signal
from cld.training.optimiser import SGD
from cld.training.streams import STEPS, stream_seed

#: Batches of images that are decoded or under way before they are needed.
AHEAD = 2
#: The warm-up begins at this share of the learning rate.
WARMUP_START = 1e-3


@dataclass
class FineTuning:
    """A fine-tuning between two iterations.

    Attributes:
        subject: what is fine-tuned on what, and how; a partial checkpoint of another subject is refused.
    """

    subject: Mapping
    detector: FasterRCNN
    optimiser: SGD
    iteration: int = 0

    def save(self, path: Path) -> None:
        """Write a partial checkpoint atomically."""
        save_checkpoint(
            path,
            {
                "subject": dict(self.subject),
                "detector": self.detector.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "iteration": self.iteration,
            },
        )

    def restore(self, path: Path) -> None:
        """Go on from a partial checkpoint.

        Raises:
            InputError: it cannot be read or is of another subject; names what differs.
        """
        checkpoint = load_checkpoint(path)
        theirs, ours = (flat(subject) for subject in (checkpoint.get("subject", {}), self.subject))
        keys = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
        if keys:
            changes = ", ".join(f"{key} {theirs.get(key)} there, {ours.get(key)} here" for key in keys)
            raise InputError(
                f"{path}: belongs to another fine-tuning ({changes}); delete it to start afresh, or name "
                "another score file"
            )
        self.detector.load_state_dict(checkpoint["detector"])
        self.optimiser.load_state_dict(checkpoint["optimiser"])
        self.iteration = checkpoint["iteration"]
        print(f"resumed from iteration {self.iteration} of {path}", file=sys.stderr, flush=True)


def fine_tune(
    detector: FasterRCNN,
    images: AnnotatedImages,
    settings: Mapping,
    subject: Mapping,
    run: Mapping,
    partial: Path,
) -> None:
    """Train all of a detector, in place, from where it was left if it was started before.

    ``partial`` is written every ``checkpoint_every_s`` seconds, on SIGTERM or SIGINT, which end the process
    with status 128 + the signal's number, and at the end: the caller removes it once nothing needs it more.

    Args:
        images: training images; those without an object are left out.
        settings: the section ``detection``, ``schedule`` that of the store's dataset.
        subject: see :class:`FineTuning`.
        run: the run's configuration: ``seed``, ``workers`` and ``checkpoint_every_s`` hold here too.

    Raises:
        InputError: too few images, ``partial`` is of another subject, or training diverged.
    """
    batch_size, n_iterations = settings["images_per_step"], settings["schedule"]["iterations"]
    if len(images.rows) < batch_size:
        raise InputError(
            f"{images.images.path}: {len(images.rows)} training images with objects do not fill a batch of "
            f"{batch_size}; lower detection.images_per_step"
        )
    for leftover in partial.parent.glob(f".{partial.stem}.*.tmp.*"):  # of a process killed while it wrote
        leftover.unlink()
    tuning = FineTuning(subject, detector, build_optimiser(detector, settings))
    if partial.exists():
        tuning.restore(partial)
    seed, device = run["seed"], next(detector.parameters()).device
    first = tuning.iteration
    schedule = Schedule(seed, len(images.rows), batch_size, first, n_iterations)
    # it ends with an epoch, and fine-tuning anywhere in one
    batches = [
        (iteration, images.rows[index.numpy()].tolist())
        for iteration, index in islice(schedule, n_iterations - first)
    ]
    jobs = (row for _, rows in batches for row in rows)
    saved = time.monotonic()
    detector.train().transform.min_size = tuple(settings["scales"]["train"])
    with (
        images.decoded(jobs, run["workers"], AHEAD * batch_size, device) as pixels,
        progress("fine-tune detector", n_iterations, "iterations", done=tuning.iteration) as bar,
        stop_signal() as stopped_by,
    ):
        for (iteration, rows), batch in zip(batches, zip(*[pixels] * batch_size, strict=True), strict=True):
            targets = [images.target(row, device) for row in rows]
            torch.manual_seed(stream_seed(seed, STEPS, iteration))
            loss = train_step(tuning, batch, targets, learning_rate(iteration, settings))
            if stopped_by() or time.monotonic() - saved >= run["checkpoint_every_s"]:
                tuning.save(partial)
                saved = time.monotonic()
            bar.advance(note=f"loss {loss:.3f}")
            if number := stopped_by():
                where = f"iteration {tuning.iteration} is saved in {partial}"
                print(f"stopped: {where}", file=sys.stderr, flush=True)
                raise SystemExit(128 + number)
    if first < n_iterations:
        tuning.save(partial)


def train_step(
    tuning: FineTuning, images: tuple[Tensor, ...], targets: list[dict[str, Tensor]], lr: float
) -> float:
    """One step of SGD; half of the images are flipped. What is random comes from torch's global generator.

    Args:
        images: (3, H, W) each, in [0, 1].
        targets: their objects, see :meth:`AnnotatedImages.target`.
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
    loss = sum(tuning.detector(*map(list, zip(*pairs, strict=True))).values())
    if not loss.isfinite():
        raise InputError(
            f"fine-tuning diverged in iteration {tuning.iteration}: the loss is {loss.item()}; lower "
            "detection.lr or raise detection.warmup_iterations"
        )
    for group in tuning.optimiser.param_groups:
        group["lr"] = lr
    tuning.optimiser.zero_grad()
    loss.backward()
    tuning.optimiser.step()
    tuning.iteration += 1
    return loss.item()


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
