"""Whether a table's numbers support what is said of them, by paired bootstrap over seeds and images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cld.evaluation.statistics import LEVEL, Interval, bootstrap, paired_differences
from cld.reporting.tables.spec import Claim, Contrast, Place, Table

SUPPORTED, NOT_SUPPORTED, UNDECIDED, UNCHECKED = "supported", "not supported", "undecided", "not checked"


@dataclass(frozen=True)
class Check:
    """A claim, a verdict on it, and the numbers behind the verdict in words."""

    text: str
    verdict: str
    evidence: str


def check(claim: Claim, cells: Mapping[Place, dict], table: Table) -> Check:
    """Hold a claim against cells (as :func:`cld.reporting.tables.cell.summarise` makes them).

    Of several contrasts the verdict is the worst, and the evidence that of the contrast it hangs on. It is
    ``undecided`` where an interval of 95 % holds both what is claimed and its opposite, or where there is no
    interval.
    """
    missing = {place for contrast in claim.contrasts for place in contrast.places if place not in cells}
    if missing:
        return Check(claim.text, UNCHECKED, f"{len(missing)} of its cells missing")
    contrasts = claim.contrasts
    if claim.within is not None:
        # the two that are farthest apart: what is true of them is true of all
        contrasts = (max(contrasts, key=lambda contrast: abs(_difference_of_means(contrast, cells))),)
    judged = []
    for contrast in contrasts:
        if (differences := paired(contrast, cells)) is None:
            return Check(claim.text, UNCHECKED, "its cells have no seed in common, or are of different data")
        interval = bootstrap(differences)
        verdict = _within(interval, claim.within) if claim.within is not None else _above(interval, claim.by)
        judged.append((verdict, interval, contrast, differences.shape))
    order = (NOT_SUPPORTED, UNDECIDED, SUPPORTED)
    verdict, interval, contrast, (n_seeds, n_images) = min(
        judged, key=lambda j: (order.index(j[0]), j[1].mean)
    )
    one, other = _names(table, contrast.plus[0], contrast.minus[0])
    which = ""
    if claim.within is not None:
        which = f"{one} less {other}, the farthest apart: "
    elif len(claim.contrasts) > 1:
        which = f"against {other}: "
    images = f"{n_images:,} images" if n_images > 1 else "images not known"
    seeds = f"{n_seeds} seeds" if n_seeds > 1 else "one seed, which says nothing of others"
    evidence = f"{which}difference {signed(interval.mean)} points, {_shown(interval)} ({seeds}; {images})"
    return Check(claim.text, verdict, evidence)


def paired(contrast: Contrast, cells: Mapping[Place, dict]) -> np.ndarray | None:
    """A contrast by seed and image, see :func:`cld.evaluation.statistics.paired_differences`."""
    plus, minus = ([cells[place]["scores"] for place in side] for side in (contrast.plus, contrast.minus))
    return paired_differences(plus, minus)


def signed(value: float) -> str:
    """``+1.8``, ``−0.3``; what rounds to zero has no sign."""
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def _difference_of_means(contrast: Contrast, cells: Mapping[Place, dict]) -> float:
    return sum(cells[p]["value"] for p in contrast.plus) - sum(cells[p]["value"] for p in contrast.minus)


def _above(interval: Interval, by: float) -> str:
    if interval.low is not None and interval.low > by:
        return SUPPORTED
    return NOT_SUPPORTED if interval.high is not None and interval.high < by else UNDECIDED


def _within(interval: Interval, within: float) -> str:
    if interval.low is None:
        return UNDECIDED
    if -within <= interval.low and interval.high <= within:
        return SUPPORTED
    return NOT_SUPPORTED if interval.low > within or interval.high < -within else UNDECIDED


def _shown(interval: Interval) -> str:
    if interval.low is None:
        return "no interval"
    return f"{LEVEL} % interval {signed(interval.low)} to {signed(interval.high)}"


def _names(table: Table, *places: Place) -> list[str]:
    """Cells by the labels that tell them apart."""
    rows, columns = ({entry.key: entry for entry in axis} for axis in (table.rows, table.columns))
    by_row = [f"{table.row_header} {rows[row].label}".strip() for row, _ in places]
    by_column = [columns[column].label for _, column in places]
    if len(set(by_column)) == 1:
        return by_row
    return (
        by_column
        if len(set(by_row)) == 1
        else [", ".join(both) for both in zip(by_row, by_column, strict=True)]
    )
