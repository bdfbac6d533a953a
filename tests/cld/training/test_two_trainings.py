"""Several processes that are told to train the same run: one does, and the others end with what it made."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ENVIRONMENT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainings import assert_same_run, train_arguments

from cld.data import read_info
from cld.runtime import lock as lock_module
from cld.runtime.errors import InputError
from cld.runtime.lock import Lock
from cld.training.checkpoint import load_checkpoint
from cld.training.loop import train
from cld.training.run_folder import LOCK
from cld.training.training_log import TrainingLog

pytestmark = pytest.mark.slow


@pytest.fixture
def start(tiny_store):
    """Starts trainings; those that still run at the end are killed."""
    running = []

    def started(config: dict, run: Path, *launcher: str) -> subprocess.Popen:
        command = [sys.executable, *launcher, *train_arguments(config, tiny_store, run)]
        running.append(subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield started
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def alone(tiny_run, tiny_store, tmp_path_factory):
    """The folder of a run that nothing disturbed."""
    return train(tiny_run("moco"), tiny_store, tmp_path_factory.mktemp("alone"), "cpu").parent


def assert_trained_once(run: Path, alone: Path) -> None:
    """The run that nothing disturbed, and curves with each epoch once."""
    assert_same_run(run, alone)
    points = EventAccumulator(str(run / "tb")).Reload().Scalars("loss")
    assert [point.step for point in points] == [4, 8, 12]


def waits_for(process: subprocess.Popen, run: Path, name: str) -> None:
    """Read on until a training says that it waits."""
    for line in process.stderr:
        if line == f"{run}: {name} trains this run; waiting for it\n":
            return
    pytest.fail("ended without waiting")


def wait_until(condition) -> None:
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_trainings_that_start_at_the_same_moment(start, tiny_run, alone, tmp_path):
    run = tmp_path / "run"
    processes = [start(tiny_run("moco"), run) for _ in range(2)]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert_trained_once(run, alone)


def test_who_waits_takes_over_from_one_that_is_killed(start, tiny_run, alone, tmp_path):
    run = tmp_path / "run"
    first = start(tiny_run("moco"), run)
    wait_until((run / "partial.pt").exists)
    first.send_signal(signal.SIGSTOP)  # in the middle of it, for as long as it takes the other to come
    other = start(tiny_run("moco"), run)
    waits_for(other, run, f"process {first.pid} of {os.uname().nodename}")
    assert not (run / "checkpoint.pt").exists()
    first.kill()
    first.wait()
    errors = other.communicate(timeout=300)[1]
    assert other.returncode == 0 and "resumed from step" in errors, errors
    assert_trained_once(run, alone)


def test_what_is_missing_beside_a_complete_run_is_added(tiny_run, tiny_store, alone, tmp_path):
    run = shutil.copytree(alone, tmp_path / "run")
    for name in ("config.yaml", "log.csv"):
        (run / name).unlink()
    assert train(tiny_run("moco"), tiny_store, run, "cpu") == run / "checkpoint.pt"
    assert_trained_once(run, alone)
    assert (run / "config.yaml").read_bytes() == (alone / "config.yaml").read_bytes()


def test_a_complete_run_is_replaced_only_if_it_is_older_than_asked_for_or_of_other_data(
    tiny_run, tiny_store, other_store, tmp_path
):
    def ended() -> float:
        return load_checkpoint(path)["rows"][-1]["ended"]

    path = train(tiny_run("npid"), tiny_store, tmp_path, "cpu")
    other = tiny_run("npid", {"optimiser.lr": 0.01})
    with pytest.raises(InputError, match="belongs to another training"):
        train(other, tiny_store, tmp_path, "cpu")
    first = ended()
    train(tiny_run("npid"), tiny_store, tmp_path, "cpu", replace_before=first - 1)
    assert ended() == first
    os.utime(path, (first + 100, first + 100))  # a copy of the file is newer than the run
    train(tiny_run("npid"), tiny_store, tmp_path, "cpu", replace_before=first + 1)
    assert ended() > first
    train(other, tiny_store, tmp_path, "cpu", replace_before=path.stat().st_mtime + 1)
    assert load_checkpoint(path)["config"]["optimiser"]["lr"] == 0.01
    with pytest.raises(InputError, match="belongs to another training"):
        train(other, other_store, tmp_path, "cpu")
    train(other, other_store, tmp_path, "cpu", replace_before=0)
    assert load_checkpoint(path)["data"] == read_info(other_store).checksum


def test_a_waiting_training_ends_on_a_signal(start, tiny_run, tmp_path):
    run = tmp_path / "run"
    holder = Lock(run / LOCK)
    assert holder.try_to_acquire() is None
    process = start(tiny_run("npid"), run)
    waits_for(process, run, f"process {os.getpid()} of {os.uname().nodename}")
    process.send_signal(signal.SIGURG)
    assert process.wait(60) == 128 + signal.SIGURG
    holder.require()
    holder.release()
    assert list(run.iterdir()) == []


def test_processes_that_train_together_wait_together(start, tiny_run, tmp_path):
    run = tmp_path / "run"
    holder = Lock(run / LOCK)
    assert holder.try_to_acquire() is None
    process = start(
        tiny_run("npid", {"optimiser.parts": 2, "cld.n_groups": 3}),
        run,
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
    )
    waits_for(process, run, f"process {os.getpid()} of {os.uname().nodename}")
    holder.release()
    assert process.wait(120) == 0, process.stderr.read()
    assert load_checkpoint(run / "checkpoint.pt")["step"] == 12


def test_a_run_that_was_taken_over_ends_with_one_line(tiny_run, tiny_store, tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_S", 0.02)
    append, locks = TrainingLog.append, []

    def make_lock(path):
        locks.append(Lock(path))
        return locks[0]

    def append_and_lose(log, row):
        append(log, row)
        lock = tmp_path / LOCK
        lock.write_text(json.dumps(json.loads(lock.read_text()) | {"token": "another", "host": "node7"}))
        wait_until(lambda: locks[0].lost)

    monkeypatch.setattr("cld.training.run_lock.Lock", make_lock)
    monkeypatch.setattr(TrainingLog, "append", append_and_lose)
    with pytest.raises(InputError, match=rf"{tmp_path}: process \d+ of node7 has taken over, since"):
        train(tiny_run("npid"), tiny_store, tmp_path, "cpu")
    assert load_checkpoint(tmp_path / "partial.pt")["step"] == 3
    assert (tmp_path / LOCK).exists()  # the other's
