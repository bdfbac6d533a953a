"""A job of the workflow, and how far it is, from what its files tell."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cld.reporting.status.causes import UNKNOWN, Cause, cause_of
from cld.reporting.status.log_file import LogFile, read_log
from cld.reporting.status.slurm_logs import SlurmLog, SlurmLogs
from cld.reporting.status.snakemake_files import Failure, SnakemakeFiles

#: Seconds without a sign of life after which a job is not said to run. Programs tell how far they are every
#: 10 s, but not while they load data, look at the kNN accuracy or compile.
SILENT_AFTER_S = 300
#: Seconds by which clocks of machines that write files may differ.
SKEW_S = 60
#: Lines of a log that are shown.
N_LINES = 5

_CHATTER = re.compile(r"srun: (?!error)")


class State(StrEnum):
    """How far a job is."""

    DONE = "done"
    RUNNING = "running"
    SILENT = "silent"  # it may run, but has not told for long
    QUEUED = "queued"
    STOPPED = "stopped"  # it has saved itself, and waits for Snakemake
    FAILED = "failed"
    NOT_BEGUN = "not begun"


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        name: of the run, score or dataset it makes.
        output: is there when it is done.
        log: what its program says.
        signs: further files that it writes while it is at work.
    """

    name: str
    rule: str
    output: Path
    log: Path
    signs: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Sight:
    """How far a job is.

    Attributes:
        when: it was done, submitted or failed, or gave its last sign of life, in seconds since 1970.
        slurm_job: in which it is queued or runs, where that can be told.
        cause: why it failed or was stopped; of a queued one, why it has to start again.
        log: what its program said.
        lines: the last ones that were said.
    """

    job: Job
    state: State
    when: float | None = None
    slurm_job: str | None = None
    cause: Cause | None = None
    log: LogFile | None = None
    lines: Sequence[str] = field(default=(), repr=False)


def look(job: Job, snakemake: SnakemakeFiles, slurm: SlurmLogs, now: float) -> Sight:
    """How far a job is.

    Args:
        now: in seconds since 1970.
    """
    if (done := _modified(job.output)) is not None:
        return Sight(job, State.DONE, done)
    log = read_log(job.log)
    # what a Snakemake that was interrupted has submitted is cancelled, and its marks are left
    mark = snakemake.mark(job.output) if snakemake.is_locked else None
    last = max((when for path in (job.log, *job.signs) if (when := _modified(path))), default=None)
    has_started = mark is not None and mark.slurm_job is None
    # what was said of an earlier start does not count
    since = mark.when if has_started else (last or 0) - SKEW_S
    slurm_log, failure = slurm.of(job.output), snakemake.failure(job.log)
    if slurm_log and slurm_log.when < since - SKEW_S * has_started:
        slurm_log = None
    if failure and failure.when < since:
        failure = None
    ended = _ended(job, log, slurm_log, failure, last)
    cause = ended.cause if ended else None

    if mark and not has_started and (last is None or mark.when > last - SKEW_S):
        return Sight(job, State.QUEUED, mark.when, mark.slurm_job, cause, log)
    in_slurm = slurm_log.job if has_started and slurm_log else None
    if has_started and (last is None or mark.when > last):
        return Sight(job, _alive(mark.when, now), mark.when, in_slurm)
    requeued = (log and log.requeued) or (slurm_log and slurm_log.is_requeued and slurm_log.job)
    if requeued and not failure:
        return Sight(job, State.QUEUED, last or slurm_log.when, requeued, log=log)
    if ended:
        return ended
    if last is None:
        return Sight(job, State.NOT_BEGUN)
    return Sight(job, _alive(last, now), last, in_slurm, log=log)


def _alive(when: float, now: float) -> State:
    return State.RUNNING if now - when <= SILENT_AFTER_S else State.SILENT


def _ended(
    job: Job, log: LogFile | None, slurm_log: SlurmLog | None, failure: Failure | None, last: float | None
) -> Sight | None:
    """A job that has ended before it was done; None for one of which nothing tells that.

    Args:
        slurm_log, failure: of its last start.
        last: its last sign of life.
    """
    if failure and failure.was_refused and failure.when >= (last or 0):
        cause = cause_of(failure.lines, job.rule)
        return Sight(job, State.FAILED, failure.when, cause=cause, lines=_shown(failure.lines))
    in_slurm = slurm_log.telling if slurm_log and slurm_log.has_ended else []
    in_snakemake = failure.lines if failure else ()
    was_saved = log is not None and log.saved_step is not None
    if not (was_saved or in_slurm or failure or (log and cause_of(log.last_words, job.rule))):
        return None
    said = log.lines if log else ()
    cause = cause_of([*in_snakemake, *in_slurm, *said], job.rule) or Cause(UNKNOWN, "", "")
    when = last or (failure.when if failure else slurm_log.when)
    if was_saved:
        told = None if cause.what == UNKNOWN else cause
        return Sight(job, State.STOPPED, when, cause=told, log=log, lines=_shown(said))
    lines = _shown(said) or _shown(in_slurm) or _shown(in_snakemake)
    return Sight(job, State.FAILED, when, cause=cause, log=log, lines=lines)


def _shown(lines: Sequence[str]) -> list[str]:
    """The last lines that tell a person something."""
    return [line.rstrip() for line in lines if line.strip() and not _CHATTER.match(line)][-N_LINES:]


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
