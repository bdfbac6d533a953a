"""The curves of a run's log."""

import math
from collections.abc import Iterable
from pathlib import Path

from cld.training.run_folder import NOT_CURVES, log_rows

#: Points of a curve at most: more than a small chart can show apart.
MAX_POINTS = 80


def curves(log: Path) -> dict[str, list]:
    """A run's log by column, thinned to :data:`MAX_POINTS` epochs; empty where there is no log.

    Returns:
        ``epoch`` and the columns that are curves; None stands for what was not logged or is not finite.
    """
    rows = log_rows(log)
    kept = [rows[i] for i in _spread(len(rows))]
    names = ["epoch", *(name for name in (rows[0] if rows else {}) if name not in NOT_CURVES)]
    shown = {name: [_short_number(row.get(name)) for row in kept] for name in names}
    return {name: values for name, values in shown.items() if any(value is not None for value in values)}


def _spread(n: int) -> Iterable[int]:
    """Indices of at most :data:`MAX_POINTS` of ``n`` rows, evenly, with the first and the last."""
    if n <= MAX_POINTS:
        return range(n)
    return (round(i * (n - 1) / (MAX_POINTS - 1)) for i in range(MAX_POINTS))


def _short_number(text: str | None) -> float | None:
    """A number to five digits; None for what is none, or is not finite."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else None
