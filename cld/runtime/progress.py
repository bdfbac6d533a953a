"""Progress of long work: a line on stderr every few seconds."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

INTERVAL_S = 10.0
#: As ``Progress`` prints it.
_LINE = re.compile(r"(.+): (\d+)/(\d+) (\S.*) \([\d.]+ \4/s(?:, (\d+) s left)?\)")


class Progress:
    """Counts units of work; see :func:`progress`."""

    def __init__(self, label: str, total: int, unit: str, done: int, shown: bool):
        self.label, self.total, self.unit, self.shown = label, total, unit, shown
        self.done = self.started_with = done
        self.start = self.last = time.monotonic()
        self.note = ""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more units of work as done; ``note`` is shown behind the count."""
        self.done += steps
        self.note = note or self.note
        if time.monotonic() - self.last >= INTERVAL_S:
            self.print()

    def print(self) -> None:
        """Print the count, the speed and the time left."""
        self.last = time.monotonic()
        if not self.shown:
            return
        rate = (self.done - self.started_with) / max(self.last - self.start, 1e-9)
        todo = self.total - self.done
        left = f", {todo / rate:.0f} s left" if rate > 0 and todo > 0 else ""
        note = f"  {self.note}" if self.note else ""
        print(
            f"{self.label}: {self.done}/{self.total} {self.unit} ({rate:.1f} {self.unit}/s{left}){note}",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def progress(
    label: str, total: int, unit: str = "it", done: int = 0, shown: bool = True
) -> Iterator[Progress]:
    """Show how far ``label`` is: ``done`` of ``total`` units at the start, more at each ``advance``.

    Several processes that do the same work give ``shown`` to one of them.
    """
    counted = Progress(label, total, unit, done, shown)
    yield counted
    if total:
        counted.print()


@dataclass(frozen=True)
class Reported:
    """A progress line of a log file: ``done`` of ``total`` units, and the time left if known."""

    label: str
    done: int
    total: int
    seconds_left: float | None


def reported(line: str) -> Reported | None:
    """Parse a line of a log file; None if it is not a line of :func:`progress`."""
    match = _LINE.match(line)
    if not match:
        return None
    label, done, total, _, left = match.groups()
    return Reported(label, int(done), int(total), float(left) if left else None)
