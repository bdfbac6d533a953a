"""The training loop, for every method, on one process or on several that torchrun has started.

Whatever is random in a step follows from (seed, step, part), and the order of an epoch from (seed, epoch):
there is no hidden generator state, and a run that goes on from a checkpoint is the run that was never
stopped. The parts of a batch are those of its definition (``optimiser.parts``), not of the machine: processes
share them out, and one that has several does them one after the other, adding up their gradients.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Generator, Tensor, nn
from torch.amp import GradScaler
from torch.optim import SGD

from cld.data import read_info
from cld.data.epoch_sampler import EpochSampler
from cld.data.view_batches import view_batches
from cld.evaluation.knn_monitor import KNNMonitor
from cld.methods import build_method
from cld.methods.base import StepOutput
from cld.runtime import distributed
from cld.runtime.device import resolve_device
from cld.runtime.distributed import data_parallel, print_rank0, process_group, rank, world_size
from cld.runtime.errors import InputError
from cld.runtime.files import write_text, writing
from cld.runtime.lock import POLL_S, Lock
from cld.runtime.progress import no_progress, progress
from cld.runtime.provenance import provenance
from cld.runtime.rng import SHUFFLES, STEPS, stream_seed
from cld.runtime.signals import stop_signal
from cld.training.checkpoint import load_checkpoint
from cld.training.log import LOG, TrainingLog, write_log
from cld.training.schedule import pretraining_rate
from cld.training.shares import require_shares
from cld.training.speed import apply_speed_options
from cld.training.state import TrainingState, require_same_run

FINAL = "checkpoint.pt"
PARTIAL = "partial.pt"
CONFIG = "config.yaml"
LEASE = "training.lock"


def train(config: dict, store: str | Path, run_dir: str | Path, device: str | None = None) -> Path:
    """Train a run to its end, from where it was left if it was started before.

    ``run_dir`` gets ``config.yaml`` first, then ``log.csv`` and ``tb/``, ``partial.pt`` every
    ``checkpoint_every_s`` seconds, and at the end ``checkpoint.pt`` in its place. On a signal of
    :data:`cld.runtime.signals.STOPPING` the state is saved and the process exits with status 128 + the
    signal's number. Under torchrun every process calls this, and the first one writes. A run that another
    job trains is waited for: it is complete then, or is gone on with.

    Args:
        config: resolved configuration, see :func:`cld.config.load_run`.
        store: HDF5 file whose splits ``train_on`` are learnt from, without their labels.
        run_dir: the run's folder, made if need be.
        device: default: the fastest there is.

    Returns:
        Path of ``checkpoint.pt``. A complete run is left as it is; what is missing beside it is added.

    Raises:
        InputError: the store cannot be read, holds an image that cannot be decoded or is smaller than a
            batch, the folder holds another run, the processes cannot share the batch's parts, training
            diverged, or another job has taken the run over.
    """
    run_dir = Path(run_dir)
    with process_group(), only_training(run_dir) as lock:
        return _train(config, store, run_dir, resolve_device(distributed.local_device() or device), lock)


@contextmanager
def only_training(run_dir: Path) -> Iterator[Lock | None]:
    """Hold the right to train a run, in the first process, after waiting for others; None: it needs none.

    Raises:
        InputError: the folder cannot be written.
    """
    lock = Lock(run_dir / LEASE) if rank() == 0 and not (run_dir / FINAL).exists() else None
    named = None
    try:
        with stop_signal() as stopped_by:
            while True:
                with writing(run_dir):
                    holder = lock.try_to_take() if lock else None
                waits, number = distributed.all_reduce_max(int(holder is not None), stopped_by() or 0)
                if number:
                    raise SystemExit(128 + number)
                if not waits:
                    break
                if holder != named:
                    print_rank0(f"{run_dir}: {holder} trains this run; waiting for it")
                named = holder
                time.sleep(POLL_S)
        yield lock
    finally:
        if lock:
            lock.give_back()


def _train(config: dict, store: str | Path, run_dir: Path, device: torch.device, lock: Lock | None) -> Path:
    require_shares(config, world_size())
    info = read_info(store)
    final, partial = run_dir / FINAL, run_dir / PARTIAL
    earlier, checkpoint = saved_state(run_dir)
    if checkpoint:
        require_same_run(checkpoint, config, info.checksum, earlier)
    if earlier == final:
        if rank() == 0:
            restore_files(run_dir, checkpoint)
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
    is_first = rank() == 0
    if is_first:
        write_config(run_dir, config)
        for leftover in run_dir.glob(".*.tmp.*"):  # of a process that was killed while it wrote
            leftover.unlink()

    state = start(config, info.checksum, n_images, device)
    if checkpoint:
        state.restore(checkpoint)
        print_rank0(f"resumed from step {state.step} of {partial}")
    else:
        print_rank0(f"begins {run_dir.name}")
    watch = KNNMonitor(config["watch"], store, info, config, device)
    forward = data_parallel(state.method)

    n_steps, rate = n_epochs * steps_per_epoch, pretraining_rate(settings, steps_per_epoch)
    sampler = EpochSampler(config["seed"], n_images, batch_size, state.step, n_steps)
    began, saved = time.monotonic() - state.wall_time_s, time.monotonic()
    with ExitStack() as stack:
        # first: before there are threads
        batches = stack.enter_context(view_batches(store, info, config, sampler, device))
        log = stack.enter_context(TrainingLog(run_dir, state.rows)) if is_first else None
        shown = progress(run_dir.name, n_steps, "steps", done=state.step) if is_first else no_progress()
        bar, stopped_by = stack.enter_context(shown), stack.enter_context(stop_signal())
        epoch_began, epoch_from = time.monotonic(), state.step
        for drawn in batches:
            lr, note = rate.at(state.step), ""
            train_step(state, forward, draw_parts(state, drawn), lr, state.step / n_steps)
            if state.step % steps_per_epoch == 0:
                means = state.end_epoch(steps_per_epoch)  # waits for the device
                speed = (state.step - epoch_from) * batch_size / (time.monotonic() - epoch_began)
                epoch = state.step // steps_per_epoch
                row = {"epoch": epoch, "step": state.step, "lr": lr, "images_per_s": speed}
                if log:
                    log.append({**row, "ended": time.time(), **means, **watch.look(state.method, epoch)})
                note = f"epoch {epoch}/{n_epochs}, loss {means['loss']:.4f}"
                epoch_began, epoch_from = time.monotonic(), state.step
            state.wall_time_s = time.monotonic() - began
            is_due = time.monotonic() - saved >= config["checkpoint_every_s"]
            number, is_due = distributed.all_reduce_max(stopped_by() or 0, int(is_due))
            if number or is_due:
                if lock:
                    lock.require()
                if is_first:
                    state.save(partial)
                saved = time.monotonic()
            bar.advance(note=note)
            if number:
                print_rank0(f"stopped: step {state.step} is saved in {partial}")
                distributed.barrier()  # torchrun ends the others when one has gone
                raise SystemExit(128 + number)
    if is_first:
        state.save(final)
        partial.unlink(missing_ok=True)
    distributed.barrier()
    return final


def saved_state(run_dir: Path) -> tuple[Path, dict] | tuple[None, None]:
    """The checkpoint to go on from, or the final one; None where there is none.

    All processes find the same: on a network file system some may for a while see what a folder held before.

    Raises:
        InputError: it cannot be read.
    """
    while True:
        earlier = next((path for name in (FINAL, PARTIAL) if (path := run_dir / name).exists()), None)
        checkpoint = load_checkpoint(earlier) if earlier else None
        seen = (checkpoint["step"], int(earlier.name == FINAL)) if checkpoint else (-1, 0)
        most, negative_least = np.split(np.array(distributed.all_reduce_max(*seen, *(-n for n in seen))), 2)
        if (most == -negative_least).all():
            return earlier, checkpoint
        time.sleep(POLL_S)


def write_config(run_dir: Path, config: Mapping) -> None:
    """Write a run's resolved configuration to its folder."""
    write_text(run_dir / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))


def restore_files(run_dir: Path, checkpoint: Mapping) -> None:
    """Write what is missing beside a complete run's checkpoint.

    Snakemake removes what its job is about to make, also where a job that another one left is making it.
    """
    if not (run_dir / CONFIG).exists():
        write_config(run_dir, checkpoint["config"])
    if not (run_dir / LOG).exists():
        write_log(run_dir / LOG, checkpoint["rows"])


def start(config: dict, data: str, n_images: int, device: torch.device) -> TrainingState:
    """A run before its first step, on ``n_images`` images of the store with the checksum ``data``."""
    torch.manual_seed(config["seed"])
    method = build_method(config, n_images).to(device).train()
    if config["sync_bn"]:
        method = distributed.convert_sync_batchnorm(method, device)
    method = apply_speed_options(method, config["speed"], device)
    settings = config["optimiser"]
    trained = (weights for weights in method.parameters() if weights.requires_grad)
    optimiser = SGD(trained, settings["lr"], settings["momentum"], weight_decay=settings["weight_decay"])
    scaler = GradScaler(device.type, enabled=config["precision"] == "fp16")
    return TrainingState(config, data, method, optimiser, scaler, provenance())


@dataclass(frozen=True)
class Part:
    """What is shown of a part of a batch.

    Attributes:
        views: V normalised views (b, 3, S, S).
        index: (b,) int64, which training images they show.
        generator: of the CPU; what the method draws follows what the views have drawn.
    """

    views: Sequence[Tensor]
    index: Tensor
    generator: Generator


def draw_parts(
    state: TrainingState, drawn: Sequence[tuple[Tensor, Callable[[Generator], Tensor]]]
) -> list[Part]:
    """The views of this process's parts of a step, see :func:`cld.data.view_batches.view_batches`."""
    parts, first = [], rank() * len(drawn)
    for number, (index, draw_views) in enumerate(drawn, start=first):
        seed = stream_seed(state.config["seed"], STEPS, state.step, number)
        generator = Generator().manual_seed(seed)
        parts.append(Part(draw_views(generator).chunk(state.config["views"]), index, generator))
    return parts


def train_step(
    state: TrainingState, forward: nn.Module, parts: Sequence[Part], lr: float, progress: float
) -> None:
    """One step of SGD on one batch.

    Args:
        forward: the method, as :func:`parallel` gives it.
        parts: what this process has of the batch.
        lr: learning rate.
        progress: share of the run's steps done, 0..1.
    """
    method, scaler = state.method, state.scaler
    torch.manual_seed(stream_seed(state.config["seed"], SHUFFLES, state.step))
    keys = encode_keys(method, parts)
    state.optimiser.zero_grad()
    outputs = []
    for number, part in enumerate(parts, start=1):
        torch.manual_seed(part.generator.initial_seed())  # of GPUs' generators too
        torch.default_generator.set_state(part.generator.get_state())
        is_last = number == len(parts)
        with nullcontext() if is_last or world_size() == 1 else forward.no_sync():
            try:
                output = forward(part.views, part.index, *keys[number - 1])
            except Exception:
                state.require_finite()  # a network that has diverged may trip up clustering first
                raise
            scaler.scale(output.loss / len(parts)).backward()
        outputs.append(replace(output, loss=output.loss.detach()))
    state.optimiser.param_groups[0]["lr"] = lr
    scaler.step(state.optimiser)
    scaler.update()
    carry = {
        name: distributed.all_gather(torch.cat([output.carry[name] for output in outputs]))
        for name in outputs[0].carry
    }
    method.after_step(replace(outputs[-1], carry=carry), progress)
    state.step += 1
    state.count(averaged_logs(outputs))


def encode_keys(method: nn.Module, parts: Sequence[Part]) -> list[tuple[Tensor, ...]]:
    """What each part's call takes as a third argument, if anything."""
    if not method.n_key_views:
        return [()] * len(parts)
    keys = method.encode_keys(torch.cat([part.views[-1] for part in parts]), len(parts))
    return [(part,) for part in keys.chunk(len(parts))]


def averaged_logs(outputs: Sequence[StepOutput]) -> dict[str, Tensor]:
    """The terms to log, averaged over the parts of a batch and over the processes."""
    spreads = [feature_spread(output.group_inputs[0].embedding) for output in outputs]
    terms = [
        {"loss": output.loss, **output.logs, "feature_spread": spread}
        for output, spread in zip(outputs, spreads, strict=True)
    ]
    table = torch.stack([torch.stack([value.float() for value in part.values()]) for part in terms])
    return dict(zip(terms[0], distributed.all_reduce_mean(table.mean(dim=0)), strict=True))


@torch.no_grad()
def feature_spread(embedding: Tensor) -> Tensor:
    """Mean deviation of unit-length features (B, d) times √d: near 1 if evenly spread, 0 if collapsed."""
    return embedding.std(dim=0).mean() * embedding.shape[1] ** 0.5
