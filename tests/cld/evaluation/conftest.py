"""Runs that were never trained, to score; and trainings that are stopped or crash on the way."""

import os

import pytest
import torch
from classifier_stores import write_checkpoint


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory, tiny_run) -> str:
    """A run on ``tiny_store``, of seed 2."""
    return str(write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint.pt", tiny_run(seed=2)))


class Crash(BaseException):
    """As if the process was killed: nothing is saved on the way out."""


@pytest.fixture
def interrupted(monkeypatch):
    """``interrupted(work, after, number)``: work until the ``after``-th step of SGD has been taken.

    Then this process sends itself the signal ``number``, and is to end with status 128 + the number; where it
    is None, it crashes within that step.
    """

    def run(work, after, number=None):
        n_steps, original = 0, torch.optim.SGD.step

        def step(*args, **options):
            nonlocal n_steps
            n_steps += 1
            if n_steps == after and number is None:
                raise Crash
            original(*args, **options)
            if n_steps == after:
                os.kill(os.getpid(), number)

        with monkeypatch.context() as patch, pytest.raises((Crash, SystemExit)) as ended:
            patch.setattr(torch.optim.SGD, "step", step)
            work()
        if number is None:
            assert ended.type is Crash
        else:
            assert ended.value.code == 128 + number

    return run
