"""The curves of a run's log."""

import math
from pathlib import Path

from cld.reporting.style import evenly_spaced
from cld.training.run_folder import NOT_CURVES, log_rows

#: Points of a curve at most: more than a small chart can show apart.
MAX_POINTS = 80


def curves(log: Path) -> dict[str, list]:
    """A run's log by column, thinned to :data:`MAX_POINTS` epochs; empty where there is no log.

    Returns:
        ``epoch`` and the columns that are curves; None stands for what was not logged or is not finite.
    """
    rows = log_rows(log)
    kept = [rows[i] for i in evenly_spaced(len(rows), MAX_POINTS)]
    names = ["epoch", *(name for name in (rows[0] if rows else {}) if name not in NOT_CURVES)]
    shown = {name: [_short_number(row.get(name)) for row in kept] for name in names}
    return {name: values for name, values in shown.items() if any(value is not None for value in values)}


def _short_number(text: str | None) -> float | None:
    """A number to five digits; None for what is none, or is not finite."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else None
