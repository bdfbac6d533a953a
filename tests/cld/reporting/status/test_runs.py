"""How far runs are said to be that the real trainer has trained, stopped or failed."""

import os
import shutil
import signal
import sys
import time

import pytest
from status_results import wait_for

from cld.reporting.status.causes import BAD_INPUT
from cld.reporting.status.job import SILENT_AFTER_S, State

MINUTE = 60


def only(results):
    """The one run that is needed."""
    ((sight, pace),) = results.overview().runs
    return sight, pace


def test_a_run_that_is_done_tells_how_long_it_took(trained, tiny_run):
    sight, pace = trained.run(next(iter(trained.runs)))
    assert sight.state == State.DONE
    assert (pace.epochs, pace.n_epochs, pace.share) == (3, 3, 1.0)
    assert 0 < pace.seconds_per_epoch == pytest.approx(pace.seconds / 3)


def test_a_run_that_was_stopped_waits_with_what_it_has_saved(trained):
    run = list(trained.runs)[1]
    sight, pace = trained.run(run)
    assert sight.state == State.STOPPED and sight.cause is None
    assert pace.epochs == sight.log.saved_step // 4 >= 2
    assert pace.seconds_left is None
    assert sight.lines[-1].startswith(f"stopped: step {sight.log.saved_step} is saved in ")
    assert trained.run(run, time.time() + 30 * MINUTE)[0].state == State.STOPPED


def test_a_run_that_its_launcher_puts_back_into_the_queue_is_queued(results, tiny_run, tiny_store, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, does in {
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
        "squeue": "echo RUNNING",
        "scontrol": "exit 0",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    run = results.add(tiny_run(overrides={"optimiser.epochs": 5000}))
    process = results.start(
        run,
        tiny_store,
        sys.executable,
        "-m",
        "cld.runtime.slurm_requeue",
        "--cpus=1",
        PATH=f"{tools}:{os.environ['PATH']}",
        SLURM_JOB_ID="15",
    )
    wait_for((results.folder(run) / "partial.pt").exists, process)
    # Slurm signals every process of the step
    for child in _children(process.pid):
        os.kill(child, signal.SIGURG)
    assert process.wait() == 128 + signal.SIGURG
    sight, pace = only(results)
    assert (sight.state, sight.slurm_job) == (State.QUEUED, "15")
    assert pace.epochs is not None


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def test_a_run_at_work_tells_its_epoch_speed_and_the_time_left(results, tiny_run, tiny_store):
    run = results.add(tiny_run(overrides={"optimiser.epochs": 100000, "checkpoint_every_s": 60}))
    process = results.start(run, tiny_store)
    try:
        wait_for(lambda: results.log(run).read_text().count("epoch ") > 2, process)
        sight, pace = only(results)
    finally:
        process.kill()
        process.wait()
    assert sight.state == State.RUNNING and sight.slurm_job is None
    assert 1 <= pace.epochs < pace.n_epochs == 100000 and 0 < pace.share < 1
    # 36 images fill 4 batches of 8
    left = (pace.n_epochs * 4 - sight.log.progress[-1].done) * 8 / pace.images_per_s
    assert pace.seconds_left == pytest.approx(left, rel=0.05, abs=5)
    # it was killed without a word: soon it is not said to run
    later = sight.when + SILENT_AFTER_S + MINUTE
    silent, pace = results.run(run, later)
    assert silent.state == State.SILENT and pace.seconds_left is None


def test_a_run_with_a_terminal_and_no_log_is_seen_by_what_it_writes(results, trained, tiny_run):
    run = list(trained.runs)[1]
    results.add(trained.runs[run])
    shutil.copytree(trained.folder(run), results.folder(run))
    last = max(path.stat().st_mtime for path in results.folder(run).iterdir())
    sight, pace = results.run(run, last + 1)
    assert sight.state == State.RUNNING and pace.epochs >= 2 and pace.images_per_s > 0


@pytest.mark.parametrize(
    ("overrides", "damage", "what", "told"),
    [
        ({"optimiser.batch_size": 64}, None, BAD_INPUT, "do not fill a batch of 64"),
        ({}, "truncate", BAD_INPUT, "store.h5: "),
        ({"optimiser.lr": 1e30}, None, "training diverged", "lower optimiser.lr"),
    ],
)
def test_a_run_that_failed_tells_its_own_error(
    results, tiny_run, tiny_store, tmp_path, overrides, damage, what, told
):
    store = tmp_path / "store.h5"
    shutil.copy(tiny_store, store)
    if damage:
        os.truncate(store, store.stat().st_size // 2)
    run = results.add(tiny_run(overrides=overrides))
    assert results.start(run, store).wait() == 2
    sight, _ = only(results)
    assert (sight.state, sight.cause.what) == (State.FAILED, what)
    assert told in sight.cause.line and sight.lines[-1] == sight.cause.line
    assert sight.lines[-1].startswith("error: ")


def test_a_run_that_failed_and_was_started_again_is_not_failed(results, tiny_run, tiny_store, trained):
    """By hand: both starts add to one log."""
    run = results.add(tiny_run())
    results.log(run).write_text(
        "error: store.h5: no such file; build it\n" + trained.log(next(iter(trained.runs))).read_text()
    )
    assert only(results)[0].state == State.RUNNING
    shutil.copytree(trained.folder(run), results.folder(run))
    assert only(results)[0].state == State.DONE


def test_of_a_log_with_several_starts_the_last_one_counts(results, tiny_run, trained):
    stopped = list(trained.runs)[1]
    text = trained.log(stopped).read_text()
    results.add(trained.runs[stopped])
    resumed = f"resumed from step 40 of {results.folder(stopped)}/partial.pt\n"
    results.log(stopped).write_text(text + resumed)
    assert only(results)[0].state == State.RUNNING
    results.log(stopped).write_text(text + resumed + text)
    assert only(results)[0].state == State.STOPPED
