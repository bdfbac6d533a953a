"""Submission: the executor of Snakemake's Slurm plugin, and what it lacks.

- Job arrays. Those of the plugin's version 2.8 lose work (issues 447 and 473 of
  snakemake/snakemake-executor-plugin-slurm): every task also checks, and where it fails deletes, what the
  array's first one makes; all get the first one's request; jobs that are ready one after another are never
  submitted. Here jobs that are ready together and ask for the same become an array, and each of its tasks is
  the job that it would be alone. Until the plugin does that; with another version of it jobs are submitted
  one by one.
- A job that can be continued is not ended by a scheduler's signals, which may go to all its processes,
  Snakemake's among them: it saves itself and goes back into the queue (slurm/launch.py).
- Jobs that an earlier Snakemake left in the queue end before their work is submitted again
  (slurm/orphans.py).
"""

import subprocess
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version

import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from slurm.orphans import Claim

#: Versions of the plugin of which the insides that arrays need were read.
KNOWN_VERSIONS = ("2.8.0",)


def install() -> None:
    """Have ``--executor slurm`` mean the executor of this module."""
    ExecutorPluginRegistry().get_plugin("slurm").executor = Executor
    # sacct's raw ids are not those of an array's tasks
    by_raw_id = plugin.query_job_status_sacct
    plugin.query_job_status_sacct = lambda run: by_raw_id(run).replace("JobIdRaw", "JobID")


class Executor(plugin.Executor):
    """Submits jobs with sbatch, waits for them and cancels them."""

    def __post_init__(self, test_mode: bool = False) -> None:
        super().__post_init__(test_mode)
        # The plugin submits one by one what it does not know as an array's.
        self.rules_in_arrays, self.array_jobs = self.array_jobs, set()
        installed = version("snakemake-executor-plugin-slurm")
        if self.rules_in_arrays and installed not in KNOWN_VERSIONS:
            self.logger.warning(
                f"snakemake-executor-plugin-slurm {installed}: job arrays are made for its versions "
                f"{', '.join(KNOWN_VERSIONS)} (slurm/executor.py), so jobs are submitted one by one"
            )
            self.rules_in_arrays = set()
        self.claim = None
        if self.workflow.execution_settings.lock:
            outputs = [str(path) for job in self.dag.needrun_jobs() for path in job.output]
            self.claim = Claim(self.workflow.persistence.path, self.run_uuid, outputs)
            self.claim.take(self.logger.warning)

    def shutdown(self) -> None:
        super().shutdown()
        if self.claim and not self.active_jobs:  # else it was interrupted, and jobs are on their way out
            self.claim.release()

    def get_job_exec_prefix(self, job: JobExecutorInterface) -> str:
        # Snakemake's own answer to SIGTERM, to wait for what runs, replaces this.
        return "trap '' TERM USR1" if job.resources.get("mpi") is not None else ""

    def run_jobs(self, jobs: list[JobExecutorInterface]) -> None:
        alone, alike = [], defaultdict(list)
        for job in jobs:
            if job.is_group() or not self.rules_in_arrays & {job.rule.name, "all"}:
                alone.append(job)
                continue
            try:
                alike[job.rule.name, self._request(job)].append(job)
            except Exception:
                alone.append(job)  # submitted so, it fails with what is wrong
        for (rule, request), same in alike.items():
            for first in range(0, len(same), self.max_array_size):
                tasks = same[first : first + self.max_array_size]
                if len(tasks) == 1:
                    alone += tasks
                    continue
                for job in tasks:
                    self.run_job_pre(job)
                self._job_submission_executor.submit(self._submit_array, rule, request, tasks)
        super().run_jobs(alone)

    def _request(self, job: JobExecutorInterface) -> str:
        """The sbatch command for a job, but for what it is to do."""
        plugin.validate_slurm_extra(job)
        parameters = {
            "run_uuid": self.run_uuid,
            "slurm_logfile": self._logfile(job.rule.name, "%A", "%a"),
            "comment_str": f"rule_{job.rule.name}",
            "account": next(self.get_account_arg(job)),
            "partition": self.get_partition_arg(job),
            "workdir": self.workflow.workdir_init,
        }
        settings = self.workflow.executor_settings
        call = plugin.get_submit_command(job, parameters, settings=settings, failed_nodes=self._failed_nodes)
        return call + plugin.set_gres_string(job)

    def _logfile(self, rule: str, array: str, task: str) -> object:
        return self.slurm_logdir / f"rule_{rule}" / f"{array}_{task}.log"

    def _submit_array(self, rule: str, request: str, jobs: Sequence[JobExecutorInterface]) -> None:
        try:
            self._logfile(rule, "", "").parent.mkdir(parents=True, exist_ok=True)
            tasks = [f"{task}) {self.format_job_exec(job)} ;;" for task, job in enumerate(jobs, start=1)]
            script = "\n".join(["#!/bin/sh", "case $SLURM_ARRAY_TASK_ID in", *tasks, "esac", ""])
            done = subprocess.run(
                f"{request} --array=1-{len(jobs)} /dev/stdin",
                shell=True,
                input=script,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(f"{done.stderr.strip()} (sbatch call: {done.args})")
            array = plugin.validate_or_get_slurm_job_id(done.stdout.strip().split(";")[0], done.stdout)
        except Exception as error:
            for job in jobs:
                self._report_job_error_threadsafe(SubmittedJobInfo(job), f"SLURM sbatch failed: {error} ")
            return
        for task, job in enumerate(jobs, start=1):
            logfile = self._logfile(rule, array, str(task))
            self.logger.info(
                f"Job {job.jobid} has been submitted with SLURM jobid {array}_{task} (log: {logfile})."
            )
            self._report_job_submission_threadsafe(
                SubmittedJobInfo(job, external_jobid=f"{array}_{task}", aux={"slurm_logfile": logfile})
            )
