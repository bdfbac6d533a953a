"""The files of a run's folder: their names, how far the run is, and its log by epoch."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from cld.runtime.errors import InputError
from cld.runtime.files import write_text

CONFIG = "config.yaml"
LOG = "log.csv"
#: The state that training resumes from, which becomes the final one.
PARTIAL, FINAL = "partial.pt", "checkpoint.pt"
LOCK = "training.lock"

#: How far a run is.
TRAINED, BEGUN, NOT_BEGUN = "trained", "begun", "not begun"
#: Columns of every log; a method's own terms follow. ``ended`` is in seconds since 1970.
COLUMNS = ("epoch", "step", "lr", "images_per_s", "ended", "loss")
#: Those that are no curves.
NOT_CURVES = ("epoch", "step", "ended")


def stage(folder: Path) -> str:
    """TRAINED, BEGUN (a state was saved, from which training resumes) or NOT_BEGUN."""
    if (folder / FINAL).exists():
        return TRAINED
    return BEGUN if (folder / PARTIAL).exists() else NOT_BEGUN


def write_log(log: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write a ``log.csv``, one row an epoch, atomically."""
    names = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    text = io.StringIO()
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows({name: format(value, ".10g") for name, value in row.items()} for row in rows)
    write_text(log, text.getvalue())


def log_rows(log: Path) -> list[dict[str, str]]:
    """Read a ``log.csv``, one row an epoch; empty where there is none.

    Raises:
        InputError: it is no log.
    """
    try:
        with open(log, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            if not row.keys() >= set(COLUMNS):
                raise ValueError("columns are missing")
            for value in row.values():
                float(value or "nan")
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{log}: is damaged ({error}); delete it: training writes it again") from None
    return rows
