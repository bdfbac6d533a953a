"""Timing for the benchmarks, and their rows; candidates run in turns, so a busy machine slows all of them.

A benchmark is a file ``bench_*.py`` that records rows; ``performance_page.py`` makes the page of them.
"""

import json
import operator
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

# Large temporaries go back to the kernel and are faulted in again unless glibc is told to keep them: timings
# then swing several times over. These settings must stand before the process starts.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**28),
}
ROWS = Path(".bench")  # what was recorded, a file for each section of the page
SECONDS = 2.0  # of turns for each ratio
MIN_TURNS = 3


def on_one_core() -> None:
    """Start this program again with ENVIRONMENT, unless it has it."""
    if any(os.environ.get(key) != value for key, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})


def medians(*candidates: Callable[[], object]) -> list[float]:
    """Median seconds of each candidate, run in turns after one warm-up."""
    seconds: list[list[float]] = [[] for _ in candidates]
    for candidate in candidates:
        candidate()
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until or len(seconds[-1]) < MIN_TURNS:
        for candidate, times in zip(candidates, seconds, strict=True):
            started = time.perf_counter()
            candidate()
            times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in seconds]


class Row(NamedTuple):
    """One comparison."""

    what: str
    yardstick: str
    ratio: float  # as the section says
    target: str = ""  # such as ``<= 1.5``
    note: str = ""  # rates, or where the rest of the time goes

    @property
    def is_met(self) -> bool | None:
        """Whether the ratio, as it is printed, reaches the target; None: there is none."""
        if not self.target:
            return None
        sign, number = self.target.split()
        return {"<=": operator.le, ">=": operator.ge}[sign](round(self.ratio, 2), float(number))


def record(section: str, about: str, rows: Iterable[Row], picture: str = "") -> None:
    """Print rows (:class:`Row`) as they are measured, and keep them for the page.

    Args:
        section: heading on the page; its file's name.
        about: what the ratios are.
        picture: of the section, below ``docs``.
    """
    print(f"{section}: {about}", flush=True)
    kept = []
    for row in rows:
        print(f"  {row.what:<50} {row.yardstick:<38} {row.ratio:>7.2f} {row.target:>8}  {row.note}")
        kept.append(row._asdict())
    ROWS.mkdir(exist_ok=True)
    content = {"section": section, "about": about, "rows": kept, "picture": picture, "at": time.time()}
    (ROWS / f"{section}.json").write_text(json.dumps(content), encoding="utf-8")
