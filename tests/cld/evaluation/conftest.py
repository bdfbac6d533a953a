import sys
from pathlib import Path

import pytest
from classifier_stores import write_checkpoint, write_colours

from cld.evaluation import evaluate_command
from cld.runtime.errors import run_command


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory, tiny_run) -> str:
    """A run on ``tiny_store`` before its first step, of seed 2."""
    return str(write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint.pt", tiny_run(seed=2)))


@pytest.fixture(scope="session")
def coloured_store(tmp_path_factory) -> Path:
    """Three classes that colours tell apart, not equally frequent."""
    return write_colours(tmp_path_factory.mktemp("coloured") / "s.h5", (30, 24, 20), (4, 9, 7))


@pytest.fixture
def evaluate(coloured_store, tmp_path, monkeypatch):
    """``evaluate(protocol, argument, ...)``: run the command on the store; gives the score's path."""

    def run(*arguments: str) -> Path:
        out = tmp_path / "score.json"
        files = ["--preset", "demo", "--store", str(coloured_store), "--score", str(out)]
        monkeypatch.setattr(sys, "argv", ["evaluate", *arguments, *files])
        run_command(evaluate_command.main)
        return out

    return run
