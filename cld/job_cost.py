"""What a job cost, from Snakemake's benchmark file."""

import csv
import math
from pathlib import Path


def job_cost(benchmark: Path) -> dict[str, float] | None:
    """A job's wall time ``s`` and peak memory ``mb``, as far as the file tells; None without a readable one.

    A job that was killed and went on later is there with its last part only.
    """
    try:
        with open(benchmark, newline="", encoding="utf-8") as file:
            last = list(csv.DictReader(file, delimiter="\t"))[-1]
    except (OSError, IndexError, ValueError):
        return None
    return {
        name: value
        for name, column in (("s", "s"), ("mb", "max_rss"))
        if (value := short_number(last.get(column)))
    }


def short_number(text: str | None) -> float | None:
    """A number to five digits; None for what is none, or is not finite."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else None
