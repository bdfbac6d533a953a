"""Progress of long work: a bar on a terminal, a plain line every few seconds in a log file."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich import progress as rich_progress
from rich.console import Console

LOG_INTERVAL_S = 10.0


class Progress(Protocol):
    """Shows how far long work is."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more units of work as done; ``note`` is shown behind the count."""


@contextmanager
def progress(label: str, total: int, unit: str = "it", done: int = 0) -> Iterator[Progress]:
    """Show how far ``label`` is: ``done`` of ``total`` units at the start, more at each ``advance``."""
    if sys.stderr.isatty():
        with _bar(label, total, unit, done) as bar:
            yield bar
    else:
        lines = _Lines(label, total, unit, done)
        yield lines
        lines.finish()


@contextmanager
def no_progress() -> Iterator[Progress]:
    """Show nothing; for all but the first of several processes that do the same work."""

    class Silent:
        def advance(self, steps: int = 1, note: str = "") -> None:
            pass

    yield Silent()


@contextmanager
def _bar(label: str, total: int, unit: str, done: int) -> Iterator[Progress]:
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn(unit),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[note]}"),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=total, completed=done, note="")

        class Bar:
            def advance(self, steps: int = 1, note: str = "") -> None:
                bars.advance(task, steps)
                if note:
                    bars.update(task, note=note)

        yield Bar()


#: As ``_Lines`` prints it.
_LINE = re.compile(r".+: \d+/\d+ (\S.*) \([\d.]+ \1/s(, \d+ s left)?\)")


def is_progress_line(line: str) -> bool:
    """Whether a line of a log file is one of :func:`progress`."""
    return _LINE.match(line) is not None


class _Lines:
    def __init__(self, label: str, total: int, unit: str, done: int):
        self.label, self.total, self.unit, self.done, self.started_with = label, total, unit, done, done
        self.start = self.last = time.monotonic()
        self.note = ""

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.done += steps
        self.note = note or self.note
        if time.monotonic() - self.last >= LOG_INTERVAL_S:
            self._print()

    def finish(self) -> None:
        if self.total:
            self._print()

    def _print(self) -> None:
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
