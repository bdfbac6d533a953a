"""A job's log file: what its program said since it last started."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cld.runtime.progress import Reported, reported

#: Bytes at a log's end that are read: days of progress lines.
TAIL = 1 << 18

# As cld.training.loop and cld.runtime.slurm_requeue print them.
_RESUMED = re.compile(r"resumed from step \d+ of ")
_STOPPED = re.compile(r"stopped: step (\d+) is saved in ")
_REQUEUED = re.compile(r"stopped with status \d+: job (\S+) goes back into the queue")


@dataclass(frozen=True)
class LogFile:
    """The last start of a program.

    Attributes:
        when: when it last said something, in seconds since 1970.
        lines: what it said.
    """

    when: float
    lines: tuple[str, ...]

    @cached_property
    def progress(self) -> list[Reported]:
        """The lines that told how far it was."""
        return [found for found in map(reported, self.lines) if found]

    @cached_property
    def last_words(self) -> list[str]:
        """The lines behind the last that shows it at work: how it ended, if it did."""
        at_work = [n for n, line in enumerate(self.lines) if reported(line) or _RESUMED.match(line)]
        return list(self.lines[at_work[-1] + 1 if at_work else 0 :])

    @cached_property
    def saved_step(self) -> int | None:
        """The step at which it was stopped, having saved itself; None where it was not."""
        return next((int(found[1]) for found in map(_STOPPED.match, self.last_words) if found), None)

    @cached_property
    def requeued(self) -> str | None:
        """The Slurm job that then went back into the queue."""
        return next((found[1] for found in map(_REQUEUED.match, self.last_words) if found), None)


def read_log(path: Path) -> LogFile | None:
    """The end of a log; None where there is none.

    Snakemake empties a log when its job starts. One that programs were started with by hand may hold several
    starts: the last one begins where a run resumed, or where steps are counted from a smaller number again.
    """
    try:
        with open(path, "rb") as file:
            when = path.stat().st_mtime
            size = file.seek(0, 2)
            file.seek(max(size - TAIL, 0))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    start, done = 0, {}
    for number, line in enumerate(lines):
        found = reported(line)
        if _RESUMED.match(line) or (found and found.done < done.get(found.label, 0)):
            start, done = number, {}
        if found:
            done[found.label] = found.done
    return LogFile(when, tuple(lines[start:]))
