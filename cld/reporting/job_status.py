"""How far a job of the workflow is: from its output, its lock, its log and Slurm's queue."""

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cld.reporting.times import duration
from cld.runtime.lock import STALE_S, lock_holder
from cld.runtime.progress import is_progress_line

#: Seconds without a sign of life after which a job counts as stopped. Programs print their progress every
#: 10 s, but not while they load data or compile.
SILENT_AFTER_S = 300
#: Bytes at a log's end that are read: hours of progress lines.
TAIL = 1 << 16
#: Lines of a log that are shown.
N_LINES = 5

# As the programs print them.
_STOPPED = re.compile(r"stopped: .* is saved in |interrupted$")
# Of an InputError, see cld.runtime.errors: it names its own fix.
_OWN_ERROR = re.compile(r"error: ")
_EXCEPTION = re.compile(r"(?:\[rank\d+\]: )?(?!\S*ChildFailedError)[\w.]*(?:Error|Exception)(?::|$)")
_MORE_MEMORY = "raise mem_mb in slurm/cluster.yaml; without Slurm, run fewer jobs at once"
# What a program cannot print itself, in the order of precedence: Slurm also kills what it has cancelled.
_PATTERNS = [
    (
        re.compile(r"OutOfMemoryError|CUDA (?:error: )?out of memory"),
        "CUDA out of memory; ask for a larger GPU: gpu_model in slurm/cluster.yaml",
    ),
    (re.compile(r"oom[-_ ]kill|Out Of Memory"), f"killed by the kernel for memory; {_MORE_MEMORY}"),
    (
        re.compile(r"No space left on device|Disk quota exceeded"),
        "disk full; free some space, or move results in config/config.yaml",
    ),
    (re.compile(r"CANCELLED AT|DUE TO TIME LIMIT"), None),  # Slurm's line says it
    (re.compile(r"\bKilled$|SIGKILL"), f"killed, most likely by the kernel for memory; {_MORE_MEMORY}"),
]


class State(StrEnum):
    """How far a job is."""

    DONE = "done"
    RUNNING = "running"
    QUEUED = "queued"
    STOPPED = "stopped"  # resumes when the workflow starts it again
    FAILED = "failed"
    NOT_BEGUN = "not begun"


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        name: of the run, score or dataset that it makes.
        output: exists once it is done.
        log: what its program prints.
        files: that it writes while it works.
        lock: exists while a process trains the run; None for other jobs.
        comment: Snakemake's comment on the job in Slurm's queue; None where the job shares one with others.
    """

    name: str
    output: Path
    log: Path
    files: tuple[Path, ...] = ()
    lock: Path | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Pace:
    """How far and how fast a pre-training was at its last whole epoch.

    ``images_per_s`` is None before the first epoch's end; ``seconds_left`` is that of a run at work.
    """

    epochs: int
    n_epochs: int
    images_per_s: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class JobStatus:
    """How far a job is.

    Attributes:
        when: when it was done, or gave its last sign of life, in seconds since 1970.
        slurm_job: in which it is queued or runs.
        error: why it failed or was stopped, where that is known.
        last_lines: of its log, until it is done.
        pace: of a pre-training.
    """

    job: Job
    state: State
    when: float | None = None
    slurm_job: str | None = None
    error: str | None = None
    last_lines: Sequence[str] = ()
    pace: Pace | None = None


def look(job: Job, queue: Mapping[str, tuple[str, str]], now: float) -> JobStatus:
    """How far a job is. A process that was killed counts as running until its lock is stale.

    Args:
        queue: see :func:`slurm_queue`.
        now: in seconds since 1970.
    """
    if (done := _modified(job.output)) is not None:
        return JobStatus(job, State.DONE, done)
    lines = _tail(job.log)
    last = max((when for path in (job.log, *job.files) if (when := _modified(path))), default=None)
    slurm_job, in_queue = queue.get(job.comment, (None, None))
    holder = lock_holder(job.lock) if job.lock else None
    end = _end(lines)
    error = error_of(end)
    if in_queue:
        state, error = (State.RUNNING if in_queue == "RUNNING" else State.QUEUED), None
    elif holder and now - holder["heartbeat"] < STALE_S:
        state, error = State.RUNNING, None
    elif any(map(_STOPPED.match, end)):
        state, error = State.STOPPED, None
    elif error:
        state = State.FAILED
    elif last is None:
        state = State.NOT_BEGUN
    elif not holder and now - last <= SILENT_AFTER_S:
        state = State.RUNNING
    else:
        state, error = State.STOPPED, f"no sign of life for {duration(now - last)}"
    shown = [line for line in lines if line.strip()][-N_LINES:]
    return JobStatus(job, state, last, slurm_job, error, shown)


def error_of(lines: Iterable[str]) -> str | None:
    """Why a program ended: its own error, or what its last lines show; None where nothing does."""
    lines = [line.strip() for line in lines]
    for line in reversed(lines):
        if _OWN_ERROR.match(line):
            return line
    for pattern, reason in _PATTERNS:
        if found := next(filter(pattern.search, lines), None):
            return reason or found
    return next((line for line in reversed(lines) if _EXCEPTION.match(line)), None)


def slurm_queue() -> dict[str, tuple[str, str]]:
    """The user's jobs in Slurm's queue that wait or run: id and state, by the comment that Snakemake gave.

    Empty where there is no Slurm, or where it does not answer.
    """
    command = ["squeue", "--me", "--noheader", "--states=PENDING,RUNNING", "--format=%i|%T|%k"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = [line.split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2]
    return {comment.strip(): (number, state) for number, state, comment in rows}


def _tail(log: Path) -> tuple[str, ...]:
    try:
        with open(log, "rb") as file:
            file.seek(max(file.seek(0, 2) - TAIL, 0))
            return tuple(file.read().decode(errors="replace").splitlines())
    except OSError:
        return ()


def _end(lines: Sequence[str]) -> Sequence[str]:
    """The lines after the last one of progress: how the program ended, if it did."""
    at_work = [number for number, line in enumerate(lines) if is_progress_line(line)]
    return lines[at_work[-1] + 1 :] if at_work else lines


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
