"""Trainings in processes of their own, and what they leave in a run's folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch.optim import SGD

from cld.config import format_overrides
from cld.training.checkpoint import load_checkpoint
from cld.training.run_folder import log_rows
from cld.training.run_id import overrides_of

#: What a complete run's folder holds.
FILES = {"checkpoint.pt", "config.yaml", "log.csv", "tb"}
TIMED = {"images_per_s", "ended"}


def train_arguments(config: dict, store: Path, run: Path) -> list[str]:
    """Python's arguments, with which it trains a run."""
    command = ["-m", "cld", "train", "--preset", "demo", "--device", "cpu", "--dataset", config["dataset"]]
    command += ["--method", config["method"], "--store", str(store), "--run-dir", str(run)]
    return [*command, *format_overrides(overrides_of(config, "demo"))]


def untimed(run: Path) -> list[dict[str, str]]:
    """The rows of a run's log, less what depends on the machine's speed."""
    return [
        {name: value for name, value in row.items() if name not in TIMED} for row in log_rows(run / "log.csv")
    ]


def same_weights(*checkpoints: Path) -> bool:
    """Whether two checkpoints have the same weights and memories to the bit."""
    first, second = (load_checkpoint(path)["method"] for path in checkpoints)
    return all(torch.equal(value, second[name]) for name, value in first.items())


def assert_same_run(run: Path, expected: Path) -> None:
    """A run's folder holds what another holds: the same state to the bit, one whole log, nothing else."""
    ours, theirs = (load_checkpoint(folder / "checkpoint.pt") for folder in (run, expected))
    for part in ("method", "encoder", "sums"):
        assert ours[part].keys() == theirs[part].keys()
        for name, value in ours[part].items():
            assert torch.equal(value, theirs[part][name]), f"{part} {name}"
    velocities, others = (checkpoint["optimiser"]["state"] for checkpoint in (ours, theirs))
    assert velocities.keys() == others.keys() and len(velocities) > 0
    for weights, state in velocities.items():
        assert torch.equal(state["momentum_buffer"], others[weights]["momentum_buffer"])
    assert ours["step"] == theirs["step"]
    assert untimed(run) == untimed(expected)
    assert {path.name for path in run.iterdir()} == FILES


class Crash(BaseException):
    """As if the process was killed: nothing is saved on the way out."""


@contextmanager
def interrupted(after: int, number: int | None = None) -> Iterator[None]:
    """The block trains until the ``after``-th step of SGD has been taken.

    Then this process sends itself the signal ``number``, and is to end with status 128 + the number; where it
    is None, it crashes within that step.
    """
    n_steps, original = 0, SGD.step

    def step(*args: object, **options: object) -> None:
        nonlocal n_steps
        n_steps += 1
        if n_steps == after and number is None:
            raise Crash
        original(*args, **options)
        if n_steps == after:
            os.kill(os.getpid(), number)

    with pytest.MonkeyPatch.context() as patch, pytest.raises((Crash, SystemExit)) as ended:
        patch.setattr(SGD, "step", step)
        yield
    assert ended.type is Crash if number is None else ended.value.code == 128 + number
