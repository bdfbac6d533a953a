"""Leases: one holder at a time, given back however the holder ends, whatever the file system lacks."""

import errno
import fcntl
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
from pathlib import Path
from cld.runtime.lock import locked
with locked(sys.argv[1], "work", "does it"):
    print("held", flush=True)
    sys.stdin.readline()
"""
#: Appends what it does, in two writes, so that two at once would mix them.
TAKE_TURNS = """
import os, sys, time
from cld.runtime import lock as lock
lock.POLL_S = 0.01
for _ in range(5):
    with lock.locked(sys.argv[1], "work", "does it"):
        for word in ("in", "out"):
            with open(sys.argv[2], "a") as log:
                log.write(f"{os.getpid()} {word}\\n")
            time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, seconds in {"POLL_S": 0.02, "RENEW_S": 0.05, "STALE_S": 2.0, "SETTLE_S": 0.05}.items():
        monkeypatch.setattr(module, name, seconds)
    for name in ("SLURM_JOB_ID", "SLURM_CLUSTER_NAME"):
        monkeypatch.delenv(name, raising=False)


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


def holding(start, path):
    process = start(HOLD, path)
    assert process.stdout.readline() == "held\n"
    return process


def elsewhere(path, **changes):
    """Make the lock look like one of a process of another machine."""
    content = json.loads(path.read_text()) | {"host": "node7", "numbers": "another machine"} | changes
    path.write_text(json.dumps(content))


def test_a_lease_is_there_while_it_is_held(path):
    with locked(path, "work", "does it"):
        assert Lock(path).try_to_take() == f"process {os.getpid()} of {os.uname().nodename}"
    assert not list(path.parent.iterdir())


def test_a_lease_is_given_back_after_an_error(path):
    with pytest.raises(ZeroDivisionError), locked(path, "work", "does it"):
        _ = 1 / 0
    assert not path.exists()


def test_processes_take_turns(start, path, tmp_path):
    log = tmp_path / "log"
    processes = [start(TAKE_TURNS, path, log) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    lines = log.read_text().split("\n")[:-1]
    assert len(lines) == 40
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        assert second == first.replace("in", "out")


def test_who_waits_says_for_whom_and_gets_it_next(start, path, capfd):
    process = holding(start, path)
    threading.Timer(0.3, lambda: (process.stdin.write("\n"), process.stdin.flush())).start()
    with locked(path, "a run", "trains it"):
        assert process.wait() == 0
    said = capfd.readouterr().err
    assert said == f"a run: process {process.pid} of {os.uname().nodename} trains it; waiting for it\n"


def test_a_living_holder_is_named_where_nobody_waits(start, path):
    process = holding(start, path)
    with (
        pytest.raises(InputError, match=f"^x.h5: process {process.pid} of .* builds it; stop it first$"),
        locked(path, "x.h5", "builds it", "stop it first"),
    ):
        pass


def test_what_a_killed_process_held_is_free_at_once(start, path, monkeypatch):
    monkeypatch.setattr(module, "STALE_S", 1e9)
    process = holding(start, path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert path.exists()
    with locked(path, "x.h5", "builds it", "stop it first"):
        assert Lock(path).try_to_take() == f"process {os.getpid()} of {os.uname().nodename}"


def test_one_of_several_takes_over_from_a_killed_one(start, path, tmp_path):
    process = holding(start, path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    test_processes_take_turns(start, path, tmp_path)


def test_a_number_that_another_process_has_by_now_is_no_sign_of_life(path, monkeypatch):
    monkeypatch.setattr(module, "STALE_S", 1e9)
    holder = Lock(path)
    assert holder.try_to_take() is None
    path.write_text(json.dumps(json.loads(path.read_text()) | {"began": "1"}))
    assert Lock(path).try_to_take() is None


def test_a_holder_elsewhere_that_renews_its_lease_keeps_it(path):
    holder = Lock(path)
    assert holder.try_to_take() is None
    elsewhere(path)
    other = Lock(path)
    for _ in range(int(3 * module.STALE_S / module.POLL_S)):
        assert other.try_to_take() == f"process {os.getpid()} of node7"
        time.sleep(module.POLL_S)
    assert other.holder_is_alive
    with (
        pytest.raises(InputError, match="of node7 builds it; stop it first"),
        locked(path, "x", "builds it", "stop it first"),
    ):
        pass
    holder.give_back()
    assert other.try_to_take() is None


@pytest.mark.parametrize("clock", [0, 2**33])
@pytest.mark.parametrize("content", ["of a process elsewhere", "", "[]", "{"])
def test_what_nobody_renews_is_taken_over_whatever_the_clocks_say(path, content, clock):
    with locked(path, "work", "does it"):
        text = path.read_text()
    path.write_text(text if content == "of a process elsewhere" else content)
    if content == "of a process elsewhere":
        elsewhere(path)
    os.utime(path, (clock, clock))
    other = Lock(path)
    answers = [other.try_to_take()]
    assert not other.holder_is_alive
    while answers[-1] is not None:
        answers.append(other.try_to_take())
    assert len(answers) >= module.STALE_S / module.POLL_S
    assert other._is_ours()


@pytest.mark.parametrize(
    ("ours", "is_free"),
    [
        ({"SLURM_JOB_ID": "7", "SLURM_CLUSTER_NAME": "one"}, True),
        ({"SLURM_JOB_ID": "8", "SLURM_CLUSTER_NAME": "one"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_CLUSTER_NAME": "two"}, False),
        ({}, False),
    ],
)
def test_a_job_that_was_requeued_does_not_wait_for_its_earlier_start(path, monkeypatch, ours, is_free):
    """Its node has failed, and Slurm starts it on another one, under its id."""
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_JOB_ID", "7")
        patch.setenv("SLURM_CLUSTER_NAME", "one")
        assert Lock(path).try_to_take() is None
    elsewhere(path)
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    assert Lock(path).try_to_take() == (None if is_free else "job 7 on node7")


def test_a_job_waits_for_what_another_of_its_processes_does(path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert Lock(path).try_to_take() is None
    assert Lock(path).try_to_take() == f"job 7 on {os.uname().nodename}"


def test_who_lost_a_lease_is_told_and_leaves_the_others_alone(path):
    loser, winner = Lock(path), Lock(path)
    assert loser.try_to_take() is None
    loser.require()
    path.unlink()  # as if it had been found stale
    assert winner.try_to_take() is None
    while not loser.was_lost:
        time.sleep(0.01)
    with pytest.raises(InputError, match=f"folder: process {os.getpid()} of .* has taken over"):
        loser.require()
    loser.give_back()
    winner.require()
    assert winner._is_ours()


def test_no_locks_and_no_links_are_needed(path, monkeypatch):
    """What some network file systems lack."""

    def missing(*_, **__):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    for place, name in ((fcntl, "flock"), (fcntl, "lockf"), (os, "link"), (os, "symlink")):
        monkeypatch.setattr(place, name, missing)
    with locked(path, "work", "does it"):
        assert Lock(path).try_to_take() is not None


def test_a_file_that_is_replaced_while_it_is_read_is_looked_at_again(path, monkeypatch):
    holder = Lock(path)
    assert holder.try_to_take() is None
    real, failures = os.fstat, [errno.ESTALE, errno.ESTALE]

    def stale(file):
        if failures:
            raise OSError(failures.pop(), "Stale file handle")
        return real(file)

    monkeypatch.setattr(module.os, "fstat", stale)
    assert Lock(path).try_to_take() is not None
    assert not failures


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"^file/x.h5: cannot be written \(File exists\)"),
        locked(tmp_path / "file/work.lock", "file/x.h5", "builds it"),
    ):
        pass
