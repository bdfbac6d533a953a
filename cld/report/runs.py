"""What a run's folder tells: how far the run is, and its curves."""

import csv
from collections.abc import Iterable
from pathlib import Path

from cld.job_cost import short_number

#: Columns of ``log.csv`` that are no curves: the axis, and what is about time.
NOT_CURVES = ("epoch", "step", "ended")
#: Points of a curve at most: more than a small chart can show apart.
MAX_POINTS = 80


def stage(folder: Path, score: Path) -> str:
    """How far a run is: ``scored``, ``trained``, ``begun`` or ``not begun``.

    Args:
        folder: the run's.
        score: the file of the score that is asked for.
    """
    if score.exists():
        return "scored"
    if (folder / "checkpoint.pt").exists():
        return "trained"
    return "begun" if (folder / "partial.pt").exists() else "not begun"


def curves(log: Path) -> dict[str, list]:
    """A run's log by column, thinned to :data:`MAX_POINTS` epochs; empty where there is no log.

    Returns:
        ``epoch`` and the columns that are curves; None stands for what was not logged or is not finite.
    """
    if not log.exists():
        return {}
    with open(log, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [rows[i] for i in _spread(len(rows))]
    names = ["epoch", *(name for name in (rows[0] if rows else {}) if name not in NOT_CURVES)]
    shown = {name: [short_number(row.get(name)) for row in kept] for name in names}
    return {name: values for name, values in shown.items() if any(value is not None for value in values)}


def _spread(n: int) -> Iterable[int]:
    """Indices of at most :data:`MAX_POINTS` of ``n`` rows, evenly, with the first and the last."""
    if n <= MAX_POINTS:
        return range(n)
    return (round(i * (n - 1) / (MAX_POINTS - 1)) for i in range(MAX_POINTS))
