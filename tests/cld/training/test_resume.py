"""A run that is killed and started again ends with the bits of a run that was not."""

import multiprocessing
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.optim import SGD
from trainings import assert_same_run

from cld.methods import METHODS
from cld.training.checkpoint import load_checkpoint
from cld.training.loop import train
from cld.training.run_folder import log_rows
from cld.training.run_id import run_id

pytestmark = pytest.mark.faults

# Processes are forked from a server that has imported PyTorch but never computed with it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["cld.training.loop"])

#: Where a process is killed (see train_until), and how often.
MOMENTS = {"before": 2, "after": 2, "partial.pt": 2, "log.csv": 2, "checkpoint.pt": 1}


def train_until(config: dict, store: Path, run: Path, count: int | None, where: str) -> None:
    """Train in this process, which kills itself at the ``count``-th event of a kind.

    Kinds: ``before`` or ``after`` the optimiser's step, or with a file written but not yet in its place.
    """
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


@pytest.fixture(scope="module")
def undisturbed(tiny_store, tmp_path_factory) -> Callable[..., Path]:
    """The folder of a run that nothing stopped; the same configuration is trained once."""
    runs = {}

    def trained(config: dict) -> Path:
        name = run_id(config)
        if name not in runs:
            runs[name] = train(config, tiny_store, tmp_path_factory.mktemp("run"), "cpu").parent
        return runs[name]

    return trained


@pytest.mark.parametrize(
    ("method", "clustering", "where"),
    [
        *(("moco", "kmeans", where) for where in MOMENTS),
        *((method, "kmeans", "before") for method in sorted(METHODS) if method != "moco"),
        ("npid", "spectral", "before"),
    ],
)
def test_killed_again_and_again_ends_with_the_same_bits(
    tiny_run, in_process, undisturbed, tmp_path, method, clustering, where
):
    config = tiny_run(method, {"cld.clustering": clustering})
    rng = random.Random(f"{method} {clustering} {where}")
    for _ in range(MOMENTS[where]):  # the state is saved at every step: each process gets as far as it is let
        count = rng.randint(2, 4) if where in ("before", "after", "partial.pt") else MOMENTS[where]
        assert in_process(config, "killed", count, where) == -signal.SIGKILL
        assert not (tmp_path / "killed/checkpoint.pt").exists()
    assert in_process(config, "killed") == 0
    assert_same_run(tmp_path / "killed", undisturbed(config))
    assert [row["step"] for row in log_rows(tmp_path / "killed/log.csv")] == ["4", "8", "12"]


def test_killed_long_after_its_last_checkpoint(tiny_run, in_process, undisturbed, tmp_path):
    config = tiny_run("npid")
    assert in_process(config, "killed", 3, "after") == -signal.SIGKILL
    seldom = config | {"checkpoint_every_s": 3600}  # no part of the run's identity
    assert in_process(seldom, "killed", 8, "after") == -signal.SIGKILL
    assert load_checkpoint(tmp_path / "killed/partial.pt")["step"] == 2
    assert len(log_rows(tmp_path / "killed/log.csv")) == 2  # two epochs were over, of which none was saved
    assert in_process(seldom, "killed") == 0
    assert_same_run(tmp_path / "killed", undisturbed(config))
