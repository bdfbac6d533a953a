"""Runs of the real trainer, in the folders and with the logs that the workflow gives them."""

import os
import subprocess
import sys
import time
from pathlib import Path

from cld.config import format_overrides
from cld.reporting.needed_runs import Needed
from cld.reporting.status.overview import gather
from cld.reporting.status.slurm_logs import SlurmLogs
from cld.reporting.status.snakemake_files import SnakemakeFiles
from cld.run_id import overrides_of, run_id

#: The trainer, telling more often how far it is than every 10 s.
TRAINER = (
    "import sys, cld.runtime.progress, cld.__main__; cld.runtime.progress.LOG_INTERVAL_S = 0.05;"
    "sys.argv[1:1] = ['train']; cld.__main__.main()"
)


class Results:
    """A results folder of the preset demo, and the folders of Snakemake and Slurm beside it."""

    def __init__(self, folder: Path):
        self.results, self.dot_snakemake, self.slurm = (
            folder / name for name in ("results", ".snakemake", "slurm")
        )
        self.runs: dict[str, dict] = {}

    def add(self, config: dict) -> str:
        """Let a run be needed."""
        self.runs[run_id(config)] = config
        return run_id(config)

    def log(self, run: str) -> Path:
        path = self.results / f"demo/logs/pretrain/{run}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def folder(self, run: str) -> Path:
        return self.results / "demo/runs" / run

    def start(self, run: str, store: Path, *launcher: str, **environment: str) -> subprocess.Popen:
        """Start the training as the rule does; what it says is added to its log."""
        config = self.runs[run]
        command = [*launcher, sys.executable, "-c", TRAINER, "--preset", "demo"]
        command += ["--dataset", config["dataset"], "--method", config["method"]]
        command += ["--store", str(store), "--run-dir", str(self.folder(run)), "--device", "cpu"]
        command += format_overrides(overrides_of(config, "demo"))
        with self.log(run).open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}
            )

    def overview(self, now: float | None = None, scores: tuple[str, ...] = (), preset: str = "demo"):
        """What is there, at the moment ``now``."""
        wanted = Needed(runs=self.runs, scores=list(scores))
        files = SnakemakeFiles(self.dot_snakemake), SlurmLogs(self.slurm)
        return gather(preset, self.results, wanted, *files, now or time.time())

    def run(self, run: str, now: float | None = None):
        """How far a run is, and its pace."""
        return next(found for found in self.overview(now).runs if found[0].job.name == run)

    def lock(self) -> None:
        """As a Snakemake at work does."""
        (self.dot_snakemake / "locks").mkdir(parents=True, exist_ok=True)
        (self.dot_snakemake / "locks/0.output.lock").touch()

    def mark(self, run: str, slurm_job: str | None, when: float) -> None:
        """As Snakemake does when it submits a job, and without an id when a job starts."""
        from snakemake.persistence.file import FilePersistence

        output = str(self.folder(run) / "checkpoint.pt")
        persistence = FilePersistence(path=self.dot_snakemake)
        persistence._mark_incomplete(output, slurm_job)
        os.utime(persistence._record_path(persistence._incomplete_path, output), (when, when))

    def slurm_log(self, run: str, name: str, said: str, when: float) -> None:
        """A job's log, as far as the Snakemake inside has come before it was ended."""
        path = self.slurm / "rule_pretrain" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        output = self.folder(run) / "checkpoint.pt"
        path.write_text(
            f"Building DAG of jobs...\n[Tue Nov 24 06:43:24 2026]\nlocalrule pretrain:\n    input: s.h5\n"
            f"    output: {output}, {output.with_name('log.csv')}\n    jobid: 0\n\n{said}"
        )
        os.utime(path, (when, when))


def wait_for(condition, process: subprocess.Popen) -> None:
    """Until a file that a process writes is as wanted."""
    while process.poll() is None:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"it has ended, with status {process.returncode}")
