"""Wall times of jobs, from Snakemake's benchmark files."""

import csv
import math
from pathlib import Path
from statistics import median


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


def evaluation_seconds(folder: Path) -> dict[str, float]:
    """Median wall time of each protocol's evaluations; ``folder`` is the preset's."""
    by_protocol: dict[str, list[float]] = {}
    for path in (folder / "benchmarks/evaluate").glob("*.tsv"):
        seconds = job_seconds(path)
        if seconds is not None:
            by_protocol.setdefault(path.stem.rpartition(".")[2], []).append(seconds)
    return {protocol: median(values) for protocol, values in by_protocol.items()}
