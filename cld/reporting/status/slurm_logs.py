"""Slurm's own logs of jobs, as the profile has them written: by job, removed where the job succeeded."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from cld.config import ROOT

#: Bytes at a log's end that are read. Its beginning is the command line of a Snakemake.
TAIL = 1 << 17

_START = "Building DAG of jobs..."
_OUTPUT = re.compile(r"^(?:local)?rule \w+:\n(?:    .*\n)*?    output: (.+)$", re.M)
#: What Slurm says itself, and what ended the Snakemake inside the job.
_TELLING = re.compile(r"slurmstepd|srun: error|^error: |^\w*(Error|Exception)\b|returned non-zero|died with")


@dataclass(frozen=True)
class SlurmLog:
    """What was said in a job since it last started; ``job`` is its id, ``<job>_<task>`` in an array."""

    job: str
    when: float
    text: str

    @property
    def telling(self) -> list[str]:
        """The lines that may say why it ended."""
        return [line for line in self.text.splitlines() if _TELLING.search(line)]

    @property
    def has_ended(self) -> bool:
        """Whether the job was ended by Slurm, or failed."""
        return " CANCELLED AT " in self.text or "did not complete successfully" in self.text

    @property
    def is_requeued(self) -> bool:
        """Whether Slurm has put the job back into the queue."""
        return "DUE TO JOB REQUEUE" in self.text or "DUE TO PREEMPTION" in self.text


class SlurmLogs:
    """The folder that the profile names as ``slurm-logdir``."""

    def __init__(self, folder: Path | None = None):
        self.folder = _folder_of_profile() if folder is None else folder

    def of(self, output: Path) -> SlurmLog | None:
        """The newest log of a job that was to make ``output``."""
        return self._by_output.get(str(output))

    @cached_property
    def _by_output(self) -> dict[str, SlurmLog]:
        logs = []
        for path in self.folder.rglob("*.log"):
            try:
                with open(path, "rb") as file:
                    file.seek(max(file.seek(0, 2) - TAIL, 0))
                    text = file.read().decode(errors="replace")
                logs.append(SlurmLog(path.stem, path.stat().st_mtime, text.rpartition(_START)[2]))
            except OSError:  # it has just been removed
                continue
        return {
            output: log
            for log in sorted(logs, key=lambda log: log.when)
            for outputs in _OUTPUT.findall(log.text)
            for output in outputs.split(", ")
        }


def _folder_of_profile() -> Path:
    try:
        profile = yaml.safe_load((ROOT / "slurm/config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):  # Snakemake has more to say of that
        profile = {}
    return Path(profile.get("slurm-logdir", ".snakemake/slurm_logs"))
