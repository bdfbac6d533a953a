"""The training loop, for every method.

Whatever is random in a step follows from (seed, step), and the order of an epoch from (seed, epoch): there is
no hidden generator state, and a run that goes on from a checkpoint is the run that was never stopped.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor

from cld.errors import InputError
from cld.files import write_text
from cld.methods import build_method
from cld.progress import progress
from cld.provenance import provenance
from cld.store import read_info
from cld.training.checkpoint import load_checkpoint
from cld.training.device import resolve_device
from cld.training.image_source import view_batches
from cld.training.log import TrainingLog
from cld.training.schedule import learning_rate
from cld.training.state import TrainingState, require_same_run
from cld.training.streams import STEPS, epoch_batches, stream_seed

FINAL = "checkpoint.pt"
PARTIAL = "partial.pt"


def train(config: dict, store: str | Path, run_dir: str | Path, device: str | None = None) -> Path:
    """Train a run to its end, from where it was left if it was started before.

    ``run_dir`` gets ``config.yaml`` first, then ``log.csv`` and ``tb/``, ``partial.pt`` every
    ``checkpoint_every_s`` seconds, and at the end ``checkpoint.pt`` in its place. On SIGTERM or SIGINT the
    state is saved and the process exits with status 128 + the signal's number; a second signal does not wait.

    Args:
        config: resolved configuration, see :func:`cld.config.load_run`.
        store: HDF5 file whose splits ``train_on`` are learnt from, without their labels.
        run_dir: the run's folder, made if need be.
        device: default: the fastest there is.

    Returns:
        Path of ``checkpoint.pt``. A run that is complete already is left as it is.

    Raises:
        InputError: the store cannot be read, holds an image that cannot be decoded or is smaller than a
            batch, the folder holds another run, or training diverged.
    """
    device, info, run_dir = resolve_device(device), read_info(store), Path(run_dir)
    final, partial = run_dir / FINAL, run_dir / PARTIAL
    earlier = next((path for path in (final, partial) if path.exists()), None)
    checkpoint = load_checkpoint(earlier) if earlier else None
    if checkpoint:
        require_same_run(checkpoint, config, info.checksum, earlier)
    if earlier == final:
        return final

    settings = config["optimiser"]
    batch_size, n_epochs = settings["batch_size"], settings["epochs"]
    n_images = sum(info.sizes.get(split, 0) for split in config["train_on"])
    steps_per_epoch = n_images // batch_size  # the last, incomplete batch is left out
    if not steps_per_epoch:
        raise InputError(
            f"{store}: the {n_images} images of {', '.join(config['train_on'])} do not fill a batch of "
            f"{batch_size}; lower optimiser.batch_size, or name other splits in train_on"
        )
    write_text(run_dir / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    for leftover in run_dir.glob(".*.tmp.*"):  # of a process that was killed while it wrote
        leftover.unlink()

    state = start(config, info.checksum, n_images, device)
    if checkpoint:
        state.restore(checkpoint)
        print(f"resumed from step {state.step} of {partial}", file=sys.stderr, flush=True)

    n_steps = n_epochs * steps_per_epoch
    schedule = Schedule(config["seed"], n_images, batch_size, state.step, n_steps)
    began, saved = time.monotonic() - state.wall_time_s, time.monotonic()
    with (
        view_batches(store, info, config, schedule, device) as batches,  # first: before there are threads
        TrainingLog(run_dir, state.rows) as log,
        progress(run_dir.name, n_steps, "steps", done=state.step) as bar,
        stop_signal() as stopped_by,
    ):
        epoch_began, epoch_from = time.monotonic(), state.step
        for index, draw_views in batches:
            lr, note = learning_rate(state.step, steps_per_epoch, settings), ""
            torch.manual_seed(stream_seed(config["seed"], STEPS, state.step))
            views = draw_views(torch.default_generator)
            train_step(state, views.chunk(config["views"]), index, lr, state.step / n_steps)
            if state.step % steps_per_epoch == 0:
                means = state.end_epoch(steps_per_epoch)  # waits for the device
                speed = (state.step - epoch_from) * batch_size / (time.monotonic() - epoch_began)
                epoch = state.step // steps_per_epoch
                row = {"epoch": epoch, "step": state.step, "lr": lr, "images_per_s": speed}
                log.append({**row, "ended": time.time(), **means})
                note = f"epoch {epoch}/{n_epochs}, loss {means['loss']:.4f}"
                epoch_began, epoch_from = time.monotonic(), state.step
            state.wall_time_s = time.monotonic() - began
            if stopped_by() or time.monotonic() - saved >= config["checkpoint_every_s"]:
                state.save(partial)
                saved = time.monotonic()
            bar.advance(note=note)
            if number := stopped_by():
                print(f"stopped: step {state.step} is saved in {partial}", file=sys.stderr, flush=True)
                raise SystemExit(128 + number)
    state.save(final)
    partial.unlink(missing_ok=True)
    return final


@dataclass(frozen=True)
class Schedule:
    """Which images the steps from ``first`` until ``stop`` show; iterates over (step, (B,) int64)."""

    seed: int
    n_images: int
    batch_size: int
    first: int
    stop: int

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        steps_per_epoch, step = self.n_images // self.batch_size, self.first
        while step < self.stop:
            epoch, done = divmod(step, steps_per_epoch)
            for index in epoch_batches(self.seed, epoch, self.n_images, self.batch_size)[done:]:
                yield step, index
                step += 1


def start(config: dict, data: str, n_images: int, device: torch.device) -> TrainingState:
    """A run before its first step, on ``n_images`` images of the store with the checksum ``data``."""
    torch.manual_seed(config["seed"])
    method = build_method(config, n_images).to(device).train()
    settings = config["optimiser"]
    trained = (weights for weights in method.parameters() if weights.requires_grad)
    optimiser = torch.optim.SGD(
        trained, settings["lr"], settings["momentum"], weight_decay=settings["weight_decay"]
    )
    return TrainingState(config, data, method, optimiser, provenance())


def train_step(
    state: TrainingState, views: tuple[Tensor, ...], index: Tensor, lr: float, progress: float
) -> None:
    """One step of SGD on one batch.

    Args:
        views: V normalised views (B, 3, S, S).
        index: (B,) int64, which training images they show.
        lr: learning rate.
        progress: share of the run's steps done, 0..1.
    """
    try:
        output = state.method(views, index)
    except Exception:
        state.require_finite()  # a network that has diverged may trip up clustering first
        raise
    state.optimiser.param_groups[0]["lr"] = lr
    state.optimiser.zero_grad()
    output.loss.backward()
    state.optimiser.step()
    state.method.after_step(output, progress)
    state.step += 1
    spread = feature_spread(output.group_inputs[0].embedding.detach())
    state.count({"loss": output.loss.detach(), **output.logs, "feature_spread": spread})


def feature_spread(embedding: Tensor) -> Tensor:
    """Mean deviation of unit-length features (B, d) times √d: near 1 if evenly spread, 0 if collapsed."""
    return embedding.std(dim=0).mean() * embedding.shape[1] ** 0.5


@contextmanager
def stop_signal() -> Iterator[Callable[[], int | None]]:
    """Hold back SIGTERM and SIGINT; yields a function that tells the first one received, if any."""
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        received.append(number)
        signal.signal(number, previous[number])

    previous = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
