"""Progress of long work: a bar on a terminal, a plain line every few seconds in a log file."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.console import Console

INTERVAL_S = 10.0
#: As :class:`Lines` prints it.
_LINE = re.compile(r".+: \d+/\d+ (\S.*) \([\d.]+ \1/s(, \d+ s left)?\)")


class Progress:
    """Counts units of work; see :func:`progress`. This one shows nothing."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more units of work as done; ``note`` is shown behind the count."""


class Lines(Progress):
    """Prints the count, the speed and the time left every INTERVAL_S seconds."""

    def __init__(self, label: str, total: int, unit: str, done: int):
        self.label, self.total, self.unit = label, total, unit
        self.done = self.started_with = done
        self.start = self.last = time.monotonic()
        self.note = ""

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps
        self.note = note or self.note
        if time.monotonic() - self.last >= INTERVAL_S:
            self.print()

    def print(self) -> None:
        """Print a line."""
        self.last = time.monotonic()
        rate = (self.done - self.started_with) / max(self.last - self.start, 1e-9)
        todo = self.total - self.done
        left = f", {todo / rate:.0f} s left" if rate > 0 and todo > 0 else ""
        note = f"  {self.note}" if self.note else ""
        print(
            f"{self.label}: {self.done}/{self.total} {self.unit} ({rate:.1f} {self.unit}/s{left}){note}",
            file=sys.stderr,
            flush=True,
        )


class Bar(Progress):
    """Moves a bar of rich's."""

    def __init__(self, bars: rich_progress.Progress, task: rich_progress.TaskID):
        self.bars, self.task = bars, task

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.bars.advance(self.task, steps)
        if note:
            self.bars.update(self.task, note=note)


@contextmanager
def progress(
    label: str, total: int, unit: str = "it", done: int = 0, shown: bool = True
) -> Iterator[Progress]:
    """Show how far ``label`` is: ``done`` of ``total`` units at the start, more at each ``advance``.

    Several processes that do the same work give ``shown`` to one of them.
    """
    if not shown:
        yield Progress()
    elif sys.stderr.isatty():
        columns = (
            "{task.description}",
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            unit,
            rich_progress.TimeRemainingColumn(),
            "{task.fields[note]}",
        )
        with rich_progress.Progress(*columns, console=Console(stderr=True)) as bars:
            yield Bar(bars, bars.add_task(label, total=total, completed=done, note=""))
    else:
        lines = Lines(label, total, unit, done)
        yield lines
        if total:
            lines.print()


def is_progress_line(line: str) -> bool:
    """Whether a line of a log file is one of :func:`progress`."""
    return _LINE.match(line) is not None
