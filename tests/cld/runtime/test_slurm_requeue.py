"""The launcher of a training in a Slurm job, with stand-ins for Slurm's commands."""

import signal
import subprocess
import sys

import pytest

from cld.runtime import slurm_requeue

TOOLS = {
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "squeue": 'echo squeue >>"$NOTES"; [ "$STATE" != AWAY ] || { export STATE; exit 1; }; echo $STATE',
    "scontrol": 'echo "$@" >>"$NOTES"',
}
LAUNCHER = [sys.executable, "-m", "cld.runtime.slurm_requeue", "--cpus=1"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a shell command by the launcher in job 15; gives its status and what Slurm was asked."""
    for name, does in TOOLS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    notes = tmp_path / "notes"
    notes.touch()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("NOTES", str(notes))
    monkeypatch.setenv("SLURM_JOB_ID", "15")

    def launched(command: str, state: str) -> tuple[int, list[str]]:
        monkeypatch.setenv("STATE", state)
        status = subprocess.run([*LAUNCHER, "sh", "-c", command]).returncode
        return status, notes.read_text().splitlines()

    return launched


@pytest.mark.parametrize("number", [signal.SIGURG, signal.SIGUSR1, signal.SIGTERM])
def test_a_command_that_a_signal_stopped_is_requeued(run, number):
    assert run(f"exit {128 + number}", "RUNNING") == (128 + number, ["squeue", "requeue 15"])


@pytest.mark.parametrize(
    ("command", "state", "asked"),
    [("exit 0", "RUNNING", []), ("exit 1", "RUNNING", []), ("exit 143", "COMPLETING", ["squeue"])],
    ids=["done", "failed", "being cancelled or preempted"],
)
def test_other_ends_are_final(run, command, state, asked):
    assert run(command, state)[1] == asked


def test_it_asks_again_while_slurmctld_is_away(run, monkeypatch):
    monkeypatch.setenv("STATE", "AWAY")
    monkeypatch.setattr(slurm_requeue, "PAUSE_S", 0)
    slurm_requeue.requeue(143)
    assert run("exit 0", "RUNNING")[1] == ["squeue"] * slurm_requeue.ATTEMPTS


def test_a_signal_to_the_whole_job_that_kills_the_command_at_once_is_a_stop(run):
    assert run("kill -TERM $PPID; sleep 0.1; exit 137", "RUNNING") == (137, ["squeue", "requeue 15"])


def test_several_processes_are_started_by_torchrun(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    command = slurm_requeue.step_command(["cld", "train"], nodes=2, processes=4, cpus=8)
    assert command[:4] == ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1"]
    assert {"OMP_NUM_THREADS=2", "--nnodes=2", "--nproc-per-node=4", "--rdzv-id=15"} <= set(command)
    assert command[-3:] == ["--no-python", "cld", "train"]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 0", 0),
        ("exit 1", slurm_requeue.FAILED),
        ("kill -USR1 $PPID; sleep 0.1; exit 1", 128 + signal.SIGUSR1),
    ],
    ids=["done", "failed", "stopped"],
)
def test_the_status_of_a_nodes_torchrun_tells_why_it_ended(command, status):
    assert subprocess.run([*LAUNCHER, "--torchrun", "sh", "-c", command]).returncode == status
