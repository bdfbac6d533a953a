"""A run that is killed and started again ends with the bits of a run that was not."""

import csv
import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.optim import SGD

from cld.methods import METHODS
from cld.training.checkpoint import load_checkpoint

# Processes are forked from a server that has imported PyTorch but never computed with it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["cld.training.loop"])

STEPS = 12  # 3 epochs of 4
#: Where a process is killed (see train_until), and how often.
MOMENTS = {"before": 2, "after": 2, "partial.pt": 2, "log.csv": 2, "checkpoint.pt": 1}
TIMED = {"images_per_s", "ended"}


def train_until(config: dict, store: Path, run: Path, count: int | None, where: str) -> None:
    """Train in this process, which kills itself at the ``count``-th event of a kind.

    Kinds: ``before`` or ``after`` the optimiser's step, or with a file written but not yet in its place.
    """
    from cld.training.loop import train

    torch.set_num_threads(1)
    calls = []

    def happened() -> None:
        calls.append(None)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)

    step, replace = SGD.step, os.replace

    def counting_step(*args: object, **options: object) -> None:
        if where == "before":
            happened()
        step(*args, **options)
        if where == "after":
            happened()

    def counting_replace(source: Path, target: Path) -> None:
        if target.name == where:
            happened()
        replace(source, target)

    SGD.step, os.replace = counting_step, counting_replace
    train(config, store, run, "cpu")


@pytest.fixture
def in_process(tiny_store, tmp_path) -> Callable[..., int]:
    """Train in a process of its own and return its exit status."""

    def start(config: dict, run: str, step: int | None = None, where: str = "before") -> int:
        process = PROCESSES.Process(
            target=train_until, args=(config, tiny_store, tmp_path / run, step, where)
        )
        process.start()
        process.join()
        return process.exitcode

    return start


def assert_same_state(ours: dict, theirs: dict) -> None:
    for part in ("method", "encoder", "sums"):
        assert ours[part].keys() == theirs[part].keys()
        for name, value in ours[part].items():
            assert torch.equal(value, theirs[part][name]), f"{part} {name}"
    velocities, expected = (checkpoint["optimiser"]["state"] for checkpoint in (ours, theirs))
    assert velocities.keys() == expected.keys() and len(velocities) > 0
    for weights, state in velocities.items():
        assert torch.equal(state["momentum_buffer"], expected[weights]["momentum_buffer"])
    assert ours["step"] == theirs["step"] == STEPS


def untimed(log: Path) -> list[dict]:
    with open(log, newline="") as text:
        return [{name: row[name] for name in row if name not in TIMED} for row in csv.DictReader(text)]


@pytest.mark.parametrize(
    ("method", "clustering", "where"),
    [
        *(("moco", "kmeans", where) for where in MOMENTS),
        *((method, "kmeans", "before") for method in sorted(METHODS) if method != "moco"),
        ("npid", "spectral", "before"),
    ],
)
def test_killed_again_and_again_ends_with_the_same_bits(
    tiny_run, in_process, tmp_path, method, clustering, where
):
    config = tiny_run(method, {"cld.clustering": clustering})
    assert in_process(config, "undisturbed") == 0
    rng = random.Random(f"{method} {clustering} {where}")
    for _ in range(MOMENTS[where]):  # the state is saved at every step: each process gets as far as it is let
        count = rng.randint(2, 4) if where in ("before", "after", "partial.pt") else MOMENTS[where]
        assert in_process(config, "killed", count, where) == -signal.SIGKILL
        assert not (tmp_path / "killed/checkpoint.pt").exists()
    assert in_process(config, "killed") == 0
    ours, theirs = (load_checkpoint(tmp_path / run / "checkpoint.pt") for run in ("killed", "undisturbed"))
    assert_same_state(ours, theirs)
    assert untimed(tmp_path / "killed/log.csv") == untimed(tmp_path / "undisturbed/log.csv")
    assert len(ours["rows"]) == 3
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {
        "checkpoint.pt",
        "config.yaml",
        "log.csv",
        "tb",
    }


def test_killed_long_after_its_last_checkpoint(tiny_run, in_process, tmp_path):
    config = tiny_run("npid")
    assert in_process(config, "undisturbed") == 0
    assert in_process(config, "killed", 3, "after") == -signal.SIGKILL
    seldom = config | {"checkpoint_every_s": 3600}  # no part of the run's identity
    assert in_process(seldom, "killed", 8, "after") == -signal.SIGKILL
    assert load_checkpoint(tmp_path / "killed/partial.pt")["step"] == 2
    assert len(untimed(tmp_path / "killed/log.csv")) == 2  # two epochs were over, of which none was saved
    assert in_process(seldom, "killed") == 0
    assert_same_state(
        *(load_checkpoint(tmp_path / run / "checkpoint.pt") for run in ("killed", "undisturbed"))
    )
    assert untimed(tmp_path / "killed/log.csv") == untimed(tmp_path / "undisturbed/log.csv")
