"""What a job cost, from Snakemake's benchmark file."""

import csv
import math
from pathlib import Path


def job_time(benchmark: Path) -> dict[str, float] | None:
    """A job's wall time ``s``; None without a file that tells it.

    A job that was killed and went on later is there with its last part only.
    """
    try:
        with open(benchmark, newline="", encoding="utf-8") as file:
            seconds = short_number(list(csv.DictReader(file, delimiter="\t"))[-1].get("s"))
    except (OSError, IndexError, ValueError):
        return None
    return {"s": seconds} if seconds else None


def short_number(text: str | None) -> float | None:
    """A number to five digits; None for what is none, or is not finite."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else None
