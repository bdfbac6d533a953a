"""What Snakemake's own folder tells of a job: that it was submitted or started, and that it failed.

``incomplete/`` has a file for every output that a job is to make: Snakemake writes the job's Slurm id there
when it submits it, the Snakemake inside the job writes it anew without an id when the job starts, and either
removes it when the job ends. ``locks/`` has files as long as a Snakemake is at work, and if it was killed.
"""

import json
import os
import re
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

FOLDER = Path(".snakemake")
#: How many of Snakemake's logs are searched for failures, the newest first.
LOGS = 50

_DATE = re.compile(r"^\[(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\]", re.M)
_LOG = re.compile(r"^ +log: (.+?)(?: \(check log file\(s\) for error details\))?$", re.M)
_MESSAGE = re.compile(
    r"^ +message: (?!None$)(.+?)(?=^ +(?:sbatch call|jobid|input|output|log|jobs):)", re.M | re.S
)
_ADVICE = "For further error details"
_COMMAND = re.compile(r"^Command '.*?>>? (\S+) 2>&1' ((?:returned|died).*)$", re.M | re.S)


@dataclass(frozen=True)
class Mark:
    """That a job was submitted (``slurm_job`` is its id) or has started (None), and ``when``."""

    slurm_job: str | None
    when: float


@dataclass(frozen=True)
class Failure:
    """That a job failed, as Snakemake saw it."""

    when: float
    lines: tuple[str, ...]

    @property
    def was_refused(self) -> bool:
        """Whether Slurm did not take the job: nothing was started then."""
        return any(line.startswith("SLURM sbatch failed") for line in self.lines)


class SnakemakeFiles:
    """The folder ``.snakemake`` of a checkout."""

    def __init__(self, folder: Path = FOLDER):
        self.folder = folder

    @cached_property
    def is_locked(self) -> bool:
        """Whether a Snakemake is at work, or was killed and could not unlock the folder."""
        return any((self.folder / "locks").glob("*.lock"))

    def mark(self, output: Path) -> Mark | None:
        """The mark of the job that makes ``output``; one that nobody works at is left over and is no mark."""
        path = self._mark_path(str(output))
        try:
            return Mark(json.loads(path.read_text())["external_jobid"], path.stat().st_mtime)
        except (OSError, ValueError, KeyError):
            return None

    def _mark_path(self, output: str) -> Path:
        name = urlsafe_b64encode(output.encode()).decode()
        longest = 254  # a name of more bytes is split, and all parts but the last are folders
        parts = [name[i : i + longest] for i in range(0, len(name), longest)]
        return Path(self.folder, "incomplete", *(f"@{part}" for part in parts[:-1]), parts[-1])

    def failure(self, log: Path) -> Failure | None:
        """The last failure of the job with this log."""
        return self._failures.get(str(log))

    @cached_property
    def _failures(self) -> dict[str, Failure]:
        logs = sorted((self.folder / "log").glob("*.snakemake.log"), key=os.path.basename)[-LOGS:]
        found: dict[str, Failure] = {}
        for log in logs:
            try:
                found |= failures(log.read_text(encoding="utf-8", errors="replace"))
            except OSError:
                continue
        return found


def failures(text: str) -> dict[str, Failure]:
    """The failures that a log of Snakemake's tells of, by the log of the job that failed."""
    ends = dict(_COMMAND.findall(text))
    dates = list(_DATE.finditer(text))
    found = {}
    for date, following in pairwise([*dates, None]):
        part = text[date.end() : following.start() if following else len(text)]
        if "(check log file(s) for error details)" not in part:
            continue
        message = [line.strip() for said in _MESSAGE.findall(part) for line in said.splitlines()]
        message = [line for line in message if line and not line.startswith(_ADVICE)]
        when = time.mktime(time.strptime(date[1]))
        for log in (path for paths in _LOG.findall(part) for path in paths.split(", ")):
            lines = [*message, *([f"the command {ends[log]}"] if log in ends else [])]
            found[log] = Failure(when, tuple(lines))
    return found
