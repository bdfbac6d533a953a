"""Workflows of several checkouts on one results folder: which keep off what."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cld.runtime.errors import InputError
from cld.runtime.making import keep_others_off, require_missing

HOLD = """
import sys
from cld.runtime.making import keep_others_off
lock = keep_others_off("shared", ["shared/a", "shared/b"], ["shared/c", "/elsewhere/d"])
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A workflow of another process that makes a and b of c."""
    monkeypatch.chdir(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("makes", "reads"),
    [(["b"], []), (["x", "a"], ["y"]), (["x"], ["b"]), (["c"], [])],
    ids=["makes the same", "makes some of the same", "reads what is made", "makes what is read"],
)
def test_workflows_that_would_disturb_each_other(other, makes, reads, tmp_path):
    absolute = [str(tmp_path / "shared" / path) for path in makes]  # however the folder is named
    said = rf"/shared/[abc]: process {other.pid} of .* makes or reads it, for a workflow in {tmp_path}; start"
    with pytest.raises(InputError, match=said):
        keep_others_off(tmp_path / "shared", absolute, [str(tmp_path / "shared" / path) for path in reads])


@pytest.mark.parametrize(("makes", "reads"), [(["x"], ["c"]), (["x/a"], []), (["../elsewhere/d"], [])])
def test_workflows_that_do_not(other, makes, reads, tmp_path):
    lock = keep_others_off(
        "shared", [f"shared/{path}" for path in makes], [f"shared/{path}" for path in reads]
    )
    assert lock.path.exists()
    lock.give_back()
    assert len(list((tmp_path / "shared/.workflows").iterdir())) == 1


def test_a_workflow_that_was_killed_is_in_nobody_s_way(other, tmp_path):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    lock = keep_others_off("shared", ["shared/a"], [])
    assert list((tmp_path / "shared/.workflows").iterdir()) == [tmp_path / lock.path]


def test_a_workflow_whose_note_is_half_written_makes_nothing_yet(tmp_path):
    (tmp_path / ".workflows").mkdir()
    (tmp_path / ".workflows/node7-1.lock").write_text(json.dumps({"makes": ["a"]})[:-3])
    keep_others_off(tmp_path, [str(tmp_path / "a")], []).give_back()


def test_what_was_made_in_the_meantime_is_not_made_again(tmp_path):
    (tmp_path / "there").touch()
    require_missing([str(tmp_path / "missing")])
    with pytest.raises(InputError, match="there: another workflow made it while this one looked"):
        require_missing([str(tmp_path / "missing"), str(tmp_path / "there")])
