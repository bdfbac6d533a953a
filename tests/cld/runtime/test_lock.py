"""Locks: one owner at a time, free again however the owner ends, whatever the file system lacks."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cld.runtime import lock as module
from cld.runtime.errors import InputError
from cld.runtime.lock import Lock, locked

HOLD = """
import sys
from cld.runtime.lock import locked
with locked(sys.argv[1], "work", "does it"):
    print("held", flush=True)
    sys.stdin.readline()
"""
#: Appends what it does, in two writes, so that two at once would mix them.
TAKE_TURNS = """
import os, sys, time
from cld.runtime import lock
lock.POLL_S = 0.01
for _ in range(5):
    with lock.locked(sys.argv[1], "work", "does it"):
        for word in ("in", "out"):
            with open(sys.argv[2], "a") as log:
                log.write(f"{os.getpid()} {word}\\n")
            time.sleep(0.01)
"""
THIS = f"process {os.getpid()} of {os.uname().nodename}"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, seconds in {"POLL_S": 0.02, "HEARTBEAT_S": 0.05, "SETTLE_S": 0.05}.items():
        monkeypatch.setattr(module, name, seconds)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder/work.lock"


@pytest.fixture
def start():
    """Starts Python programs; those that still run at the end are killed."""
    running = []

    def started(program, *arguments):
        command = [sys.executable, "-c", program, *map(str, arguments)]
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield started
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def owner(start, path):
    """A process that holds the lock until it reads a line."""
    process = start(HOLD, path)
    assert process.stdout.readline() == "held\n"
    return process


def move_elsewhere(path):
    """Make the lock look like one of a process of another machine."""
    path.write_text(json.dumps(json.loads(path.read_text()) | {"host": "node7"}))


def test_a_lock_exists_while_it_is_held(path):
    with pytest.raises(ZeroDivisionError), locked(path, "work", "does it"):
        assert Lock(path).try_to_acquire() == THIS
        _ = 1 / 0
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("begins", ["free", "of a killed process"])
def test_processes_take_turns(start, path, tmp_path, begins, request):
    if begins != "free":
        killed = request.getfixturevalue("owner")
        killed.kill()
        killed.wait()
    log = tmp_path / "log"
    processes = [start(TAKE_TURNS, path, log) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    lines = log.read_text().split("\n")[:-1]
    assert len(lines) == 40
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        assert second == first.replace("in", "out")


def test_a_waiting_process_says_for_whom_and_is_next(owner, path, capfd):
    threading.Timer(0.3, lambda: (owner.stdin.write("\n"), owner.stdin.flush())).start()
    with locked(path, "a run", "trains it"):
        assert owner.wait() == 0
    said = capfd.readouterr().err
    assert said == f"a run: process {owner.pid} of {os.uname().nodename} trains it; waiting for it\n"


def test_where_nobody_waits_the_owner_is_named_until_it_is_killed(owner, path):
    with (
        pytest.raises(InputError, match=f"^x.h5: process {owner.pid} of .* builds it; stop it first$"),
        locked(path, "x.h5", "builds it", "stop it first"),
    ):
        pass
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    with locked(path, "x.h5", "builds it", "stop it first"):
        assert Lock(path).try_to_acquire() == THIS


def test_a_number_that_another_process_has_by_now_is_no_sign_of_life(path):
    assert Lock(path).try_to_acquire() is None
    path.write_text(json.dumps(json.loads(path.read_text()) | {"started": "1"}))
    assert Lock(path).try_to_acquire() is None


def test_an_owner_elsewhere_keeps_its_lock_as_long_as_it_renews_it(path):
    owner, other = Lock(path), Lock(path)
    assert owner.try_to_acquire() is None
    move_elsewhere(path)
    os.utime(path, (1, 1))
    while path.stat().st_mtime == 1:  # until its thread renews it
        time.sleep(0.01)
    assert other.try_to_acquire() == f"process {os.getpid()} of node7"
    owner.release()
    assert other.try_to_acquire() is None


@pytest.mark.parametrize("seconds", [-1e9, -121, 121, 1e9])
@pytest.mark.parametrize("content", ["of a process elsewhere", "", "[]", "{"])
def test_a_lock_that_is_not_renewed_is_taken_over(path, content, seconds):
    with locked(path, "work", "does it"):
        text = path.read_text()
    path.write_text(text if content == "of a process elsewhere" else content)
    if content == "of a process elsewhere":
        move_elsewhere(path)
    other = Lock(path)
    assert other.try_to_acquire() is not None  # its file is new
    os.utime(path, (time.time() + seconds,) * 2)
    assert other.try_to_acquire() is None


@pytest.mark.parametrize(("job", "is_free"), [("7", True), ("8", False), (None, False)])
def test_a_requeued_job_does_not_wait_for_its_earlier_start(path, monkeypatch, job, is_free):
    """Its node has failed, and Slurm starts it on another one, under its id."""
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "7")
        assert Lock(path).try_to_acquire() is None
    move_elsewhere(path)
    if job:
        monkeypatch.setenv("SLURM_JOB_ID", job)
    assert Lock(path).try_to_acquire() == (None if is_free else "job 7 on node7")


def test_a_job_waits_for_another_of_its_own_processes(path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert Lock(path).try_to_acquire() is None
    assert Lock(path).try_to_acquire() == f"job 7 on {os.uname().nodename}"


def test_an_owner_that_lost_its_lock_learns_of_it_and_leaves_the_new_one_alone(path):
    loser, winner = Lock(path), Lock(path)
    assert loser.try_to_acquire() is None
    loser.require()
    path.unlink()  # as if it had been found stale
    assert winner.try_to_acquire() is None
    while not loser.lost:
        time.sleep(0.01)
    with pytest.raises(InputError, match=f"folder: {THIS} has taken over"):
        loser.require()
    loser.release()
    winner.require()
    assert path.exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"^file/x.h5: cannot be written \(File exists\)"),
        locked(tmp_path / "file/work.lock", "file/x.h5", "builds it"),
    ):
        pass
