"""What Snakemake's and Slurm's files tell of runs: queued, started, ended without a word."""

import os
import time

import pytest

from cld.reporting.status.job import SILENT_AFTER_S, State
from cld.reporting.status.snakemake_files import SnakemakeFiles, failures

NOW = 1795502721.0  # Tue Nov 24 06:45:21 2026 UTC
OOM_KILL = "slurmstepd: error: Detected 1 oom_kill event in StepId=3.0.\n"
PROGRESS = "{run}: 367/60000 steps (36.7 steps/s, 1625 s left)  epoch 30/5000, loss 5.5463\n"

# Of Snakemake 9.27 with its Slurm plugin 2.8, shortened.
REFUSED = """\
[{date}]
Error in rule pretrain:
    message: SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: nope
sbatch: error: Batch job submission failed: Invalid partition name specified'.
    sbatch call:
        sbatch --parsable --job-name cld_775641fd -p nope -t 1 --mem 1500
For further error details see the cluster/cloud log and the log files of the involved rule(s).
    jobid: 9
    input: results/demo/stores/kitchen_hc.h5
    output: {output}
    log: {log} (check log file(s) for error details)
    shell:
        cld train --store s.h5 --run-dir r >> {log} 2>&1
        (command exited with non-zero exit code)
[{date}]
Finished jobid: 12 (Rule: pretrain)
"""
KILLED_LOCALLY = """\
[{date}]
localrule pretrain:
    output: {output}
    log: {log}
    jobid: 3
RuleException:
CalledProcessError in file "/home/me/cld/workflow/rules/pretrain.smk", line 27:
Command 'set -euo pipefail;  cld train >> {log} 2>&1' died with <Signals.SIGKILL: 9>.
[{date}]
Error in rule pretrain:
    message: None
    jobid: 3
    output: {output}
    log: {log} (check log file(s) for error details)
    shell:
         cld train --run-dir r >> {log} 2>&1
        (command exited with non-zero exit code)
Logfile {log}:
=====
"""
GROUP = """\
[{date}]
    message: SLURM-job '41' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable
For further error details see the cluster/cloud log and the log files of the involved rule(s).
    log: /home/me/cld/results/slurm/group_scores/41.log (check log file(s) for error details)
    jobs:
        rule evaluate:
            jobid: 7
            output: results/demo/scores/a/knn.json
            log: results/demo/logs/evaluate/a.knn.log (check log file(s) for error details)
        rule evaluate:
            jobid: 8
            output: results/demo/scores/b/knn.json
            log: results/demo/logs/evaluate/b.knn.log (check log file(s) for error details)
"""


def said(results, run, text, when):
    """Let a run's program have said something."""
    results.log(run).write_text(text.format(run=run))
    os.utime(results.log(run), (when, when))


def snakemake_said(results, run, text, when):
    """Let Snakemake's own log tell something."""
    path = results.dot_snakemake / "log/2026-11-24T064520.688108.snakemake.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    date = time.asctime(time.localtime(when))
    path.write_text(
        text.format(date=date, output=results.folder(run) / "checkpoint.pt", log=results.log(run))
    )


@pytest.fixture
def run(results, tiny_run):
    return results.add(tiny_run())


@pytest.mark.parametrize("slurm_job", ["123", "123_4"])
def test_a_submitted_run_is_queued_while_a_snakemake_is_there(results, run, slurm_job):
    results.mark(run, slurm_job, NOW - 60)
    assert results.run(run, NOW)[0].state == State.NOT_BEGUN  # it was interrupted, and has cancelled its jobs
    results.lock()
    sight, _ = results.run(run, NOW)
    assert (sight.state, sight.slurm_job, sight.when) == (State.QUEUED, slurm_job, NOW - 60)


def test_marks_of_long_paths_are_found_where_snakemake_puts_them(results, tiny_run):
    results.results = results.results / ("x" * 200) / ("y" * 200)
    run = results.add(tiny_run())
    results.mark(run, "7", NOW)
    mark = SnakemakeFiles(results.dot_snakemake).mark(results.folder(run) / "checkpoint.pt")
    assert (mark.slurm_job, mark.when) == ("7", NOW)


def test_a_started_run_is_starting_until_it_says_something(results, run):
    results.lock()
    results.mark(run, None, NOW - 60)
    results.slurm_log(run, "12_3.log", "", NOW - 62)
    sight, pace = results.run(run, NOW)
    assert (sight.state, sight.slurm_job, pace.epochs) == (State.RUNNING, "12_3", None)
    assert results.run(run, NOW + SILENT_AFTER_S)[0].state == State.SILENT
    said(results, run, PROGRESS, NOW - 10)
    sight, pace = results.run(run, NOW)
    assert sight.state == State.RUNNING
    assert pace.seconds_left == 1625 - 10
    assert pace.images_per_s == pytest.approx((60000 - 367) * 8 / 1625)


def test_a_run_that_failed_and_was_submitted_again_is_queued_again(results, run):
    said(results, run, PROGRESS + OOM_KILL, NOW - 600)
    assert results.run(run, NOW)[0].state == State.FAILED
    results.lock()
    results.mark(run, "124", NOW - 60)
    sight, _ = results.run(run, NOW)
    assert (sight.state, sight.cause.what) == (State.QUEUED, "out of memory")
    # it starts; Snakemake has emptied the log
    results.mark(run, None, NOW - 30)
    said(results, run, PROGRESS, NOW - 10)
    assert results.run(run, NOW)[0].state == State.RUNNING


def test_an_older_submission_than_what_the_run_said_is_over(results, run):
    results.lock()
    results.mark(run, "123", NOW - 4000)
    said(results, run, PROGRESS + OOM_KILL, NOW - 600)
    assert results.run(run, NOW)[0].state == State.FAILED


@pytest.mark.parametrize("name", ["{run}/3.log", "3_1.log"])
def test_slurm_tells_why_a_run_ended_that_could_not(results, run, name):
    said(results, run, PROGRESS, NOW - 605)
    results.slurm_log(run, name.format(run=f"demo_{run}"), OOM_KILL, NOW - 5000)  # of an earlier start
    assert results.run(run, NOW)[0].state == State.SILENT
    ended = OOM_KILL + "WorkflowError:\nAt least one job did not complete successfully.\n"
    results.slurm_log(run, name.format(run=f"demo_{run}"), ended, NOW - 600)
    sight, pace = results.run(run, NOW)
    assert (sight.state, sight.cause.what) == (State.FAILED, "out of memory")
    assert sight.cause.line == OOM_KILL.strip()
    assert pace.epochs == 0


def test_a_preempted_run_is_in_the_queue_again(results, run):
    stopped = f"stopped: step 164 is saved in {results.folder(run)}/partial.pt\n"
    said(results, run, PROGRESS + stopped, NOW - 600)
    preempted = (
        "slurmstepd-n1: error: *** JOB 9 ON n1 CANCELLED AT 2026-11-24T06:40:19 DUE TO PREEMPTION ***\n"
    )
    results.slurm_log(run, f"demo_{run}/9.log", preempted, NOW - 600)
    sight, _ = results.run(run, NOW)
    assert (sight.state, sight.slurm_job) == (State.QUEUED, "9")


def test_the_outer_snakemake_of_an_array_s_task_names_what_the_task_makes(results, run):
    said(results, run, PROGRESS, NOW - 10)
    results.slurm_log(run, "3_2.log", "slurmstepd: error: *** JOB 5 ON n1 CANCELLED AT 2026-11-24 ***\n", NOW)
    path = results.slurm / "rule_pretrain/3_2.log"
    path.write_text(path.read_text().replace("localrule", "rule"))
    assert results.run(run, NOW)[0].state == State.FAILED


def test_of_several_logs_of_slurm_s_the_newest_counts(results, run):
    said(results, run, PROGRESS, NOW - 600)
    ended = "slurmstepd: error: *** JOB {job} ON n1 CANCELLED AT 2026-11-24T06:40:19 DUE TO {why} ***\n"
    for job, why, when in ((10, "TIME LIMIT", NOW - 590), (9, "NODE FAILURE", NOW - 599)):
        results.slurm_log(run, f"demo_{run}/{job}.log", ended.format(job=job, why=why), when)
    assert results.run(run, NOW)[0].cause.what == "time limit"


def test_what_ended_an_earlier_start_is_no_cause(results, run):
    diverged = "error: training diverged by step 400: loss not finite; lower optimiser.lr (0.03)\n"
    later = PROGRESS.replace("367/", "399/")
    for again in (f"resumed from step 300 of {results.folder(run)}/partial.pt\n", PROGRESS):
        said(results, run, later + OOM_KILL + again + later + diverged, NOW - 600)
        assert results.run(run, NOW)[0].cause.what == "training diverged"


def test_slurm_s_refusal_counts_more_than_how_an_earlier_start_ended(results, run):
    said(results, run, PROGRESS + OOM_KILL, NOW - 600)
    snakemake_said(results, run, REFUSED, NOW - 60)
    assert results.run(run, NOW)[0].cause.what == "Slurm refused the job"


def test_a_run_that_slurm_refused_has_failed_until_it_is_taken(results, run):
    snakemake_said(results, run, REFUSED, NOW - 60)
    sight, _ = results.run(run, NOW)
    assert (sight.state, sight.cause.what, sight.when) == (State.FAILED, "Slurm refused the job", NOW - 60)
    assert sight.lines == [
        "SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: nope",
        "sbatch: error: Batch job submission failed: Invalid partition name specified'.",
    ]
    results.lock()
    results.mark(run, "9", NOW - 10)
    assert results.run(run, NOW)[0].state == State.QUEUED


def test_a_run_that_was_killed_on_this_machine_has_failed_at_once(results, run):
    said(results, run, PROGRESS, NOW - 12)
    assert results.run(run, NOW)[0].state == State.RUNNING
    snakemake_said(results, run, KILLED_LOCALLY, NOW - 10)
    sight, _ = results.run(run, NOW)
    assert (sight.state, sight.cause.what) == (State.FAILED, "killed")
    # Snakemake starts it again
    results.lock()
    results.mark(run, None, NOW - 9)
    assert results.run(run, NOW)[0].state == State.RUNNING
    said(results, run, PROGRESS, NOW - 1)
    assert results.run(run, NOW)[0].state == State.RUNNING


def test_a_group_s_failure_is_that_of_its_jobs():
    found = failures(GROUP.format(date=time.asctime(time.localtime(NOW))))
    for name in "ab":
        failure = found[f"results/demo/logs/evaluate/{name}.knn.log"]
        assert failure.when == NOW and "'TIMEOUT'" in failure.lines[0]
        assert len(failure.lines) == 1


def test_a_log_of_a_snakemake_that_started_nothing_tells_of_no_failure():
    assert failures("Error: cores have to be specified for local execution\n") == {}


def test_without_any_trace_a_run_has_not_begun(results, run):
    sight, pace = results.run(run, NOW)
    assert (sight.state, sight.when, pace.epochs, pace.n_epochs) == (State.NOT_BEGUN, None, None, 3)
