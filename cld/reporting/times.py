"""Wall times of jobs, from Snakemake's benchmark files, and durations as people read them."""

import csv
import math
from pathlib import Path


def duration(seconds: float) -> str:
    """``26 s``, ``12 min``, ``3.4 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def job_seconds(benchmark: Path) -> float | None:
    """Wall time of a job, to five digits; None without a file that has it.

    Of a job that was killed and resumed, the file has the last part only.
    """
    try:
        with open(benchmark, newline="", encoding="utf-8") as file:
            seconds = float(list(csv.DictReader(file, delimiter="\t"))[-1]["s"])
    except (OSError, LookupError, TypeError, ValueError):
        return None
    return float(f"{seconds:.5g}") if seconds and math.isfinite(seconds) else None


def evaluation_seconds(folder: Path, subject: str, protocol: str) -> float | None:
    """Wall time of a score, all jobs that it took together; None where none is recorded.

    Args:
        folder: the preset's.
        subject: the run or the dataset that was scored.
    """
    paths = (folder / "benchmarks/evaluate").glob(f"{subject}.{protocol}.*tsv")  # with a grid's trials
    recorded = [seconds for path in paths if (seconds := job_seconds(path)) is not None]
    return sum(recorded) or None
