"""Whether a table's numbers support the claims about them, by paired bootstrap over seeds and images.

Generated data decide no claim: what they show changes with seed and machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cld.evaluation.statistics import LEVEL, Interval, bootstrap, paired_differences
from cld.reporting.tables.spec import REFERENCE_ROW, Claim, Contrast, Place, Table

SUPPORTED, NOT_SUPPORTED, UNDECIDED, UNCHECKED = "supported", "not supported", "undecided", "not checked"
#: Of every claim about generated data, whatever its numbers.
NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Check:
    """A claim, a verdict on it, and the numbers behind the verdict in words."""

    text: str
    verdict: str
    evidence: str


def check(claim: Claim, cells: Mapping[Place, dict], table: Table) -> Check:
    """Hold a claim against cells (as :func:`cld.reporting.tables.cell.summarise` makes them).

    Of several contrasts the verdict is the worst, and the evidence is of the contrast that decides it. The
    verdict is ``undecided`` where an interval of 95 % holds both what is claimed and its opposite, or where
    there is no interval. On generated data it is ``not tested``, and the evidence is a difference alone.
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
        plus, minus = ([cells[place]["scores"] for place in side] for side in (contrast.plus, contrast.minus))
        differences = paired_differences(plus, minus)
        if differences is None:
            return Check(claim.text, UNCHECKED, "its cells have no seed in common, or are of different data")
        interval = bootstrap(differences)
        judged.append((_verdict(claim, interval), interval, contrast, differences.shape))
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
    seeds = f"{n_seeds} seeds" if n_seeds > 1 else "one seed"
    if table.is_generated:
        here = f"{which}difference here {signed(interval.mean)} points"
        return Check(claim.text, NOT_TESTED, f"generated data, {seeds}, too small to tell ({here})")
    shown = "no interval"
    if interval.low is not None:
        shown = f"{LEVEL} % interval {signed(interval.low)} to {signed(interval.high)}"
    images = f"{n_images:,} images" if n_images > 1 else "images not known"
    alone = ", which says nothing of others" * (n_seeds == 1)
    evidence = f"{which}difference {signed(interval.mean)} points, {shown} ({seeds}{alone}; {images})"
    return Check(claim.text, verdict, evidence)


def signed(value: float) -> str:
    """``+1.8``, ``−0.3``; what rounds to zero has no sign."""
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def _difference_of_means(contrast: Contrast, cells: Mapping[Place, dict]) -> float:
    return sum(cells[p]["value"] for p in contrast.plus) - sum(cells[p]["value"] for p in contrast.minus)


def _verdict(claim: Claim, interval: Interval) -> str:
    if interval.low is None:
        return UNDECIDED
    if claim.within is None:
        is_supported, is_refuted = interval.low > claim.by, interval.high < claim.by
    else:
        is_supported = -claim.within <= interval.low and interval.high <= claim.within
        is_refuted = interval.low > claim.within or interval.high < -claim.within
    return SUPPORTED if is_supported else NOT_SUPPORTED if is_refuted else UNDECIDED


def _names(table: Table, *places: Place) -> list[str]:
    """Cells by the labels that distinguish them."""
    rows, columns, references = (
        {entry.key: entry.label for entry in axis} for axis in (table.rows, table.columns, table.references)
    )
    if any(row == REFERENCE_ROW for row, _ in places):
        return [
            references[key] if row == REFERENCE_ROW else f"{rows[row]}, {columns[key]}" for row, key in places
        ]
    by_row = [f"{table.row_header} {rows[row]}".strip() for row, _ in places]
    by_column = [columns[column] for _, column in places]
    if len(set(by_column)) == 1:
        return by_row
    if len(set(by_row)) == 1:
        return by_column
    return [", ".join(both) for both in zip(by_row, by_column, strict=True)]
