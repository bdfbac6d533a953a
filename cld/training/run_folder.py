"""What a run's folder tells without PyTorch: how far the run is, and its log by epoch."""

import csv
from pathlib import Path

#: How far a run is.
TRAINED, BEGUN, NOT_BEGUN = "trained", "begun", "not begun"


def stage(folder: Path) -> str:
    """TRAINED, BEGUN (a state was saved that training goes on from) or NOT_BEGUN."""
    if (folder / "checkpoint.pt").exists():
        return TRAINED
    return BEGUN if (folder / "partial.pt").exists() else NOT_BEGUN


def log_rows(log: Path) -> list[dict[str, str]]:
    """A ``log.csv``, one row an epoch, as :mod:`cld.training.log` writes them; empty where there is none."""
    try:
        with open(log, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        return []
