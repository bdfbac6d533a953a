"""Timing for the benchmarks: candidates run in turns on one core, so a busy machine slows all of them."""

import os
import statistics
import sys
import time
from collections.abc import Callable

# Large temporaries go back to the kernel and are faulted in again unless glibc is told to keep them: timings
# then swing several times over. These settings must stand before the process starts.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**28),
}
SECONDS = 2.0  # of turns for each ratio
MIN_TURNS = 5


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
