"""How far a job is, by its files and Slurm's queue."""

import json
import os
from dataclasses import replace

import pytest

from cld.reporting.job_status import SILENT_AFTER_S, Job, State, error_of, look, slurm_queue
from cld.runtime.lock import STALE_S

NOW = 1795502721.0
PROGRESS = "run: 367/60000 steps (36.7 steps/s, 1625 s left)  epoch 30/5000, loss 5.5463\n"
OOM_KILL = "slurmstepd: error: Detected 1 oom_kill event in StepId=3.0.\n"
STOPPED = "stopped: step 164 is saved in results/demo/runs/run/partial.pt\n"

TRACEBACK = (
    'Traceback (most recent call last):\n  File "loop.py", line 118, in _train\n    train_step(state)\n'
)
GPU_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
LIMIT = "slurmstepd-st1: error: *** STEP 6.1 ON st1 CANCELLED AT 2026-11-24T06:44:28 DUE TO TIME LIMIT ***"
CANCELLED = "slurmstepd-st2: error: *** JOB 4 ON st2 CANCELLED AT 2026-11-24T06:40:19 ***"
CHILD_FAILED = "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:"
OWN = "error: store.h5: no such file; build it"


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        (f"{OWN}\nsrun: error: node1: task 0: Exited with exit code 1", OWN),
        ("error: a.csv: cannot be written (No space left on device); free some space", "error: a.csv"),
        (f"{TRACEBACK}{GPU_MEMORY}\n{CHILD_FAILED}", "CUDA out of memory; ask for a larger GPU"),
        (OOM_KILL, "killed by the kernel for memory; raise mem_mb"),
        ("srun: error: node1: task 0: Out Of Memory", "killed by the kernel for memory"),
        (f"{TRACEBACK}OSError: [Errno 28] No space left on device", "disk full; free some space"),
        (f"{LIMIT}\nsrun: error: st1: task 0: Terminated", LIMIT),
        (f"srun: error: st1: task 0: Killed\n{CANCELLED}", CANCELLED),  # what Slurm does after a while
        ("srun: error: st1: task 0: Killed", "killed, most likely by the kernel for memory"),
        (f"{TRACEBACK}[rank1]: ZeroDivisionError: division by zero\n{CHILD_FAILED}", "[rank1]: ZeroDiv"),
        (f"{TRACEBACK}AssertionError", "AssertionError"),
    ],
)
def test_the_error_of_a_program_is_its_own_or_what_its_end_shows(printed, error):
    assert error_of(printed.splitlines()).startswith(error)


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "srun: cluster configuration lacks support for cpu binding",
        "UserWarning: The given NumPy array is not writable",
        "[W1124 06:43:02 socket.cpp:200] [c10d] The hostname of the client socket cannot be retrieved.",
    ],
)
def test_what_shows_no_end_is_no_error(printed):
    assert error_of(printed.splitlines()) is None


@pytest.fixture
def job(tmp_path):
    paths = (tmp_path / name for name in ("checkpoint.pt", "run.log", "training.lock"))
    output, log, lock = paths
    return Job("run", output, log, lock=lock, comment="rule_pretrain_wildcards_demo_run")


def write(path, text, age_s=0.0):
    path.write_text(text)
    os.utime(path, (NOW - age_s, NOW - age_s))


def test_without_any_trace_a_job_has_not_begun_and_with_its_output_it_is_done(job):
    assert look(job, {}, NOW).state == State.NOT_BEGUN
    write(job.log, PROGRESS + OOM_KILL)
    write(job.output, "", age_s=60)
    done = look(job, {}, NOW)
    assert (done.state, done.when, done.error) == (State.DONE, NOW - 60, None)


def test_a_job_without_a_lock_runs_while_its_log_grows(job):
    job = replace(job, lock=None)
    write(job.log, PROGRESS, age_s=10)
    assert look(job, {}, NOW).state == State.RUNNING
    silent = look(job, {}, NOW + SILENT_AFTER_S)
    assert (silent.state, silent.error) == (State.STOPPED, "no sign of life for 5 min")


def test_a_run_whose_lock_is_renewed_runs_and_one_that_was_killed_is_stopped_once_its_lock_is_stale(job):
    write(job.log, PROGRESS, age_s=10)
    write(job.lock, json.dumps({"host": "n1", "process": 7, "token": "t"}), age_s=10)
    assert look(job, {}, NOW).state == State.RUNNING
    assert look(job, {}, NOW + STALE_S).state == State.STOPPED
    write(job.log, PROGRESS + OOM_KILL, age_s=10)
    assert look(job, {}, NOW + STALE_S).state == State.FAILED


@pytest.mark.parametrize("printed", [PROGRESS + STOPPED, PROGRESS + STOPPED + CANCELLED, "interrupted\n"])
def test_a_job_that_was_stopped_stays_so(job, printed):
    write(job.log, printed, age_s=10_000)
    status = look(job, {}, NOW)
    assert (status.state, status.error) == (State.STOPPED, None)


def test_what_was_printed_before_the_last_progress_is_no_end(job):
    write(job.log, PROGRESS + OOM_KILL + PROGRESS, age_s=10)
    assert look(job, {}, NOW).state == State.RUNNING
    write(job.log, PROGRESS + OOM_KILL + PROGRESS + OWN, age_s=10)
    failed = look(job, {}, NOW)
    assert (failed.state, failed.error, failed.last_lines[-1]) == (State.FAILED, OWN, OWN)


def test_a_job_in_slurms_queue_waits_or_runs(job):
    write(job.log, PROGRESS + OOM_KILL, age_s=1000)
    for in_queue, state in (("PENDING", State.QUEUED), ("RUNNING", State.RUNNING)):
        status = look(job, {job.comment: ("12", in_queue)}, NOW)
        assert (status.state, status.slurm_job) == (state, "12")
    assert look(job, {"rule_pretrain_wildcards_demo_other": ("12", "PENDING")}, NOW).state == State.FAILED


def test_the_queue_is_that_of_squeue(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm_queue() == {}
    squeue = tmp_path / "squeue"
    squeue.write_text(
        "#!/bin/sh\necho '12|PENDING|rule_pretrain_wildcards_demo_run'\necho '13|RUNNING|(null)'\n"
    )
    squeue.chmod(0o755)
    assert slurm_queue()["rule_pretrain_wildcards_demo_run"] == ("12", "PENDING")
    squeue.write_text("#!/bin/sh\necho slurmctld is away >&2\nexit 1\n")
    assert slurm_queue() == {}
