"""The training loop, for every method, on one process or on several that torchrun has started.

Whatever is random in a step follows from (seed, step, part), and the order of an epoch from (seed, epoch):
there is no hidden generator state, and a run resumed from a checkpoint is, to the bit, the run that was never
stopped. The parts of a batch belong to its definition (``optimiser.parts``), not to the machine: processes
share them.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
import yaml
from torch.amp import GradScaler
from torch.optim import SGD

from cld.data import read_info
from cld.data.epoch_sampler import EpochSampler
from cld.data.store_format import view_side
from cld.data.view_batches import view_batches
from cld.methods import build_method
from cld.methods.base import Method
from cld.models.backbones import require_side
from cld.models.sync_batchnorm import convert_sync_batchnorm
from cld.runtime.device import resolve_device
from cld.runtime.distributed import (
    barrier,
    broadcast_object,
    data_parallel,
    print_rank0,
    process_group,
    rank,
    world_size,
)
from cld.runtime.errors import InputError
from cld.runtime.files import write_text
from cld.runtime.lock import Lock
from cld.runtime.progress import progress
from cld.runtime.provenance import provenance
from cld.training.checkpoint import load_run_checkpoint
from cld.training.precision import resolve_precision
from cld.training.process_count import require_process_count
from cld.training.resumable import Resumable, require_same_subject
from cld.training.run_folder import CONFIG, FINAL, LOG, PARTIAL, write_log
from cld.training.run_lock import hold_run_lock
from cld.training.schedule import pretraining_rate
from cld.training.speed_options import apply_speed_options
from cld.training.state import TrainingState, subject_of
from cld.training.step import draw_parts, train_step
from cld.training.training_log import TrainingLog

#: Looks at the method after an epoch, counted from 1; gives more columns of the log, or none.
Monitor = Callable[[Method, int], Mapping[str, float]]


def train(
    config: dict,
    store: str | Path,
    run_dir: str | Path,
    device: str | None = None,
    monitor: Monitor | None = None,
    replace_before: float | None = None,
) -> Path:
    """Train a run to its end, from where it was left if it was started before.

    ``run_dir`` gets ``config.yaml`` first, then ``log.csv`` and ``tb/``, ``partial.pt`` every
    ``checkpoint_every_s`` seconds, and at the end ``checkpoint.pt`` in its place. On a signal of
    :data:`cld.runtime.signals.STOPPING` the state is saved and the process exits with status 128 + the
    signal's number. Under torchrun every process calls this, and the first one writes. A run that another
    job trains is waited for: it is complete then, or is resumed.

    Args:
        config: see :func:`cld.config.load_run`.
        store: HDF5 file whose splits ``train_on`` are learnt from, without their labels.
        device: see :func:`cld.runtime.device.resolve_device`.
        monitor: called in the first process after every epoch.
        replace_before: begin anew if the folder holds a complete run that ended before this time, in seconds
            since 1970, or was trained on other data.

    Returns:
        Path of ``checkpoint.pt``. A complete run is left as it is; what is missing beside it is added.

    Raises:
        InputError: the store, the folder, the device or the number of processes does not suit the
            configuration; training diverged; or another job has taken the run over.
    """
    run_dir = Path(run_dir)
    with process_group(), hold_run_lock(run_dir) as lock:
        require_process_count(config, world_size())
        device = resolve_device(device)
        info = read_info(store)
        if info.dataset != config["dataset"]:
            raise InputError(
                f"{store}: is a store of {info.dataset}, and the run is of {config['dataset']}; name that "
                f"store, or --dataset {info.dataset}"
            )
        subject = subject_of({"config": config, "data": info.checksum})
        final = run_dir / FINAL
        if replace_before is not None and rank() == 0:
            remove_replaced(final, replace_before, subject)
        if broadcast_object(final.exists()):
            if rank() == 0:
                complete_files(run_dir, subject)
        else:
            train_to_end(config, store, run_dir, device, monitor, lock)
        barrier()
    return final


def remove_replaced(final: Path, before: float, subject: Mapping) -> None:
    """Remove a complete run's checkpoint, if there is one, that ended before a time or is of other data.

    The run's log tells when it ended: the file may be a copy, which Snakemake puts back when a job fails.
    """
    if not final.exists():
        return
    checkpoint = load_run_checkpoint(final)
    rows = checkpoint["rows"]
    ended = rows[-1]["ended"] if rows else final.stat().st_mtime
    if ended < before or subject_of(checkpoint)["store"] != subject["store"]:
        final.unlink()


def complete_files(run_dir: Path, subject: Mapping) -> None:
    """Write what is missing beside a complete run's checkpoint.

    Snakemake starts a job for each of them that is missing.
    """
    checkpoint = load_run_checkpoint(run_dir / FINAL)
    require_same_subject(run_dir / FINAL, subject_of(checkpoint), subject)
    if not (run_dir / CONFIG).exists():
        write_config(run_dir, checkpoint["config"])
    if not (run_dir / LOG).exists():
        write_log(run_dir / LOG, checkpoint["rows"])


def write_config(run_dir: Path, config: Mapping) -> None:
    """Write a run's resolved configuration to its folder."""
    write_text(run_dir / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))


def start(
    config: dict, data: str, n_images: int, device: torch.device, precision: str | None = None
) -> TrainingState:
    """A run before its first step, on ``n_images`` images of the store with the checksum ``data``.

    Args:
        precision: what its backbone computes in; None: what the configuration is on this device.
    """
    precision = precision or resolve_precision(config["precision"], device)
    torch.manual_seed(config["seed"])
    method = build_method({**config, "precision": precision}, n_images).to(device).train()
    if config["sync_bn"]:
        method = convert_sync_batchnorm(method, device)
    method = apply_speed_options(method, config["speed"], device)
    settings = config["optimiser"]
    trained = (weights for weights in method.parameters() if weights.requires_grad)
    optimiser = SGD(trained, settings["lr"], settings["momentum"], weight_decay=settings["weight_decay"])
    scaler = GradScaler(device.type, enabled=precision == "fp16")
    made_by = {**provenance(), "precision": precision}
    return TrainingState(config, data, method, optimiser, scaler, made_by)


def train_to_end(
    config: dict,
    store: str | Path,
    run_dir: Path,
    device: torch.device,
    monitor: Monitor | None,
    lock: Lock | None,
) -> None:
    """Train from the first step, or from ``partial.pt``, to ``checkpoint.pt``; see :func:`train`."""
    info, settings, is_first = read_info(store), config["optimiser"], rank() == 0
    batch_size = settings["batch_size"]
    n_images = sum(info.sizes.get(split, 0) for split in config["train_on"])
    steps_per_epoch = n_images // batch_size  # the last, incomplete batch is left out
    if not steps_per_epoch:
        raise InputError(
            f"{store}: the {n_images} images of {', '.join(config['train_on'])} do not fill a batch of "
            f"{batch_size}; lower optimiser.batch_size, or name other splits in train_on"
        )
    n_steps = settings["epochs"] * steps_per_epoch
    require_side(config["backbone"], view_side(config["image_size"], info))

    subject = subject_of({"config": config, "data": info.checksum})
    resumable = Resumable(run_dir / PARTIAL, subject, config["checkpoint_every_s"], subject_of)
    checkpoint = resumable.load()
    begun = checkpoint["provenance"].get("precision") if checkpoint else None
    precision = resolve_precision(config["precision"], device, begun, str(resumable.path))
    precision = broadcast_object(precision)  # nodes may have different GPUs
    state = start(config, info.checksum, n_images, device, precision)
    how = f"on {device} ({state.provenance['device']}), in {precision}"
    if checkpoint:
        state.restore(checkpoint)
        print_rank0(f"resumed from step {state.step} of {resumable.path}, {how}")
    else:
        print_rank0(f"begins {run_dir.name} {how}")
    if is_first:
        write_config(run_dir, config)
        for leftover in run_dir.glob(".*.tmp.*"):  # of a process that was killed while it wrote
            leftover.unlink()

    def content() -> dict:
        if lock:
            lock.require()
        return state.content()

    forward, rate = data_parallel(state.method), pretraining_rate(settings, steps_per_epoch)
    sampler = EpochSampler(config["seed"], n_images, batch_size, state.step, n_steps)
    began = time.monotonic() - state.wall_time_s
    with (
        view_batches(store, info, config, sampler, device) as batches,  # first: before there are threads
        TrainingLog(run_dir, state.rows) if is_first else nullcontext() as log,
        progress(run_dir.name, n_steps, "steps", done=state.step, shown=is_first) as bar,
        resumable.saving(content) as after_step,
    ):
        epoch_began, epoch_from = time.monotonic(), state.step
        for drawn in batches:
            lr, note = rate.at(state.step), ""
            train_step(state, forward, draw_parts(state, drawn), lr, progress=state.step / n_steps)
            if state.step % steps_per_epoch == 0:
                epoch, means = state.step // steps_per_epoch, state.end_epoch(steps_per_epoch)
                speed = (state.step - epoch_from) * batch_size / (time.monotonic() - epoch_began)
                if log:
                    seen = monitor(state.method, epoch) if monitor else {}
                    row = {"epoch": epoch, "step": state.step, "lr": lr, "images_per_s": speed}
                    log.append({**row, "ended": time.time(), **means, **seen})
                note = f"epoch {epoch}/{settings['epochs']}, loss {means['loss']:.4f}"
                epoch_began, epoch_from = time.monotonic(), state.step
            state.wall_time_s = time.monotonic() - began
            bar.advance(note=note)
            after_step(f"step {state.step}")
    if is_first:
        os.replace(resumable.path, run_dir / FINAL)
