"""Claims: verdicts on numbers that are made to support them or not, and on the published ones."""

from dataclasses import replace

import numpy as np
import pytest

from cld.evaluation.statistics import packed_hits
from cld.reporting.tables.claims import (
    NOT_SUPPORTED,
    NOT_TESTED,
    SUPPORTED,
    UNCHECKED,
    UNDECIDED,
    check,
    signed,
)
from cld.reporting.tables.spec import Axis, Claim, Contrast, Table, load_table, table_names

KEYS = "abcd"


def table():
    columns = [Axis("x", "X")]
    rows = [Axis(key, key.upper()) for key in KEYS]
    return Table("demo", "t", "T", "C.", "row", "", "column", rows, columns, [], [], {})


def cell(hits, seeds=(0, 1), data="d", with_hits=True):
    """A cell whose network was right on ``hits`` of 400 images, on the same ones with each seed."""
    details = (
        {"n": 400, "hits": packed_hits(np.arange(400) < hits)} if with_hits else {"n": None, "hits": None}
    )
    common = {"value": hits / 4, "provenance": {"data_checksum": data}, **details}
    return {"value": hits / 4, "scores": [{"seed": seed, **common} for seed in seeds]}


def cells(**hits):
    return {(key, "x"): cell(n) for key, n in hits.items()}


def better(a, *others, by=0.0):
    return Claim("it is", tuple(Contrast(((a, "x"),), ((b, "x"),)) for b in others), by)


@pytest.mark.parametrize(
    ("hits", "by", "verdict"),
    [
        ({"a": 300, "b": 200}, 0, SUPPORTED),
        ({"a": 200, "b": 300}, 0, NOT_SUPPORTED),
        ({"a": 201, "b": 200}, 0, UNDECIDED),
        ({"a": 300, "b": 200}, 40, NOT_SUPPORTED),
        ({"a": 300, "b": 200}, 25, UNDECIDED),
    ],
)
def test_a_claim_is_held_against_the_interval(hits, by, verdict):
    checked = check(better("a", "b", by=by), cells(**hits), table())
    assert checked.verdict == verdict
    assert (
        checked.text == "it is"
        and f"difference {signed((hits['a'] - hits['b']) / 4)} points" in checked.evidence
    )
    assert "95 % interval" in checked.evidence and "2 seeds; 400 images" in checked.evidence


@pytest.mark.parametrize(("hits", "difference"), [((400, 0), "+100.0"), ((0, 400), "−100.0")])
def test_generated_data_test_nothing_however_large_the_difference(hits, difference):
    demo = load_table("table_a1", "demo")
    one, other = ("10", "kmeans"), ("10", "spectral")
    numbers = {one: cell(hits[0], (0, 1, 2)), other: cell(hits[1], (0, 1, 2))}
    checked = check(Claim("it is", (Contrast((one,), (other,)),)), numbers, demo)
    assert checked.verdict == NOT_TESTED
    assert checked.evidence == (
        f"generated data, 3 seeds, too small to tell (difference here {difference} points)"
    )


def test_the_best_of_several_is_better_than_each():
    numbers = cells(a=300, b=200, c=290, d=310)
    assert check(better("a", "b", "c"), numbers, table()).verdict == SUPPORTED
    checked = check(better("a", "b", "c", "d"), numbers, table())
    assert checked.verdict == NOT_SUPPORTED and checked.evidence.startswith("against row D: difference −2.5")


def test_a_reference_can_be_beaten_and_is_named():
    names = {"references": [Axis("plain", "alone"), Axis("raw", "pixels")]}
    claim = Claim("it is", tuple(Contrast((("a", "x"),), (("reference", key),)) for key in ("plain", "raw")))
    numbers = cells(a=300) | {("reference", "plain"): cell(200), ("reference", "raw"): cell(100)}
    checked = check(claim, numbers, replace(table(), **names))
    assert (checked.verdict, checked.evidence[:14]) == (SUPPORTED, "against alone:")


def test_a_gap_that_closes_is_a_difference_of_differences():
    numbers = cells(a=320, b=200, c=310, d=300)
    closes = Claim("it closes", (Contrast((("a", "x"), ("d", "x")), (("b", "x"), ("c", "x"))),))
    checked = check(closes, numbers, table())
    assert checked.verdict == SUPPORTED and "difference +27.5 points" in checked.evidence
    opens = Claim("it opens", (Contrast((("b", "x"), ("c", "x")), (("a", "x"), ("d", "x"))),))
    assert check(opens, numbers, table()).verdict == NOT_SUPPORTED


@pytest.mark.parametrize(("within", "verdict"), [(12, SUPPORTED), (3, UNDECIDED), (0.1, NOT_SUPPORTED)])
def test_alike_is_what_the_two_farthest_apart_are(within, verdict):
    pairs = tuple(Contrast(((a, "x"),), ((b, "x"),)) for a, b in (("a", "b"), ("a", "c"), ("b", "c")))
    checked = check(Claim("alike", pairs, within=within), cells(a=200, b=204, c=212), table())
    assert checked.verdict == verdict
    assert checked.evidence.startswith("row A less row C, the farthest apart: difference −3.0")


def test_only_seeds_that_all_cells_have_are_paired():
    numbers = {("a", "x"): cell(300, (0, 1, 2)), ("b", "x"): cell(200, (2, 1, 5))}
    evidence = check(better("a", "b"), numbers, table()).evidence
    assert "difference +25.0 points" in evidence and "(2 seeds; 400 images)" in evidence


@pytest.mark.parametrize(
    ("others", "evidence"),
    [
        ({}, "1 of its cells missing"),
        ({("b", "x"): cell(200, seeds=(7, 8))}, "its cells have no seed in common, or are of different data"),
        (
            {("b", "x"): cell(200, data="another")},
            "its cells have no seed in common, or are of different data",
        ),
    ],
    ids=["missing", "other seeds", "other data"],
)
def test_what_cannot_be_paired_is_not_checked(others, evidence):
    checked = check(better("a", "b"), cells(a=300) | others, table())
    assert (checked.verdict, checked.evidence) == (UNCHECKED, evidence)


def test_one_value_each_decides_nothing():
    numbers = {(key, "x"): cell(n, seeds=(0,), with_hits=False) for key, n in (("a", 300), ("b", 100))}
    checked = check(better("a", "b"), numbers, table())
    assert checked.verdict == UNDECIDED
    assert "difference +50.0 points, no interval (one seed, which says nothing of others" in checked.evidence


#: Tables whose numbers the supplement does not print.
UNPRINTED = {"table_folder", "table_negatives"}


@pytest.mark.parametrize("name", [name for name in table_names() if name not in UNPRINTED])
def test_the_published_numbers_support_the_claims(name):
    table = load_table(name, "paper")
    assert table.claims
    for claim in table.claims:
        for contrast in claim.contrasts:
            published = {place: table.cells[place].published for place in contrast.places}
            plus, minus = (
                sum(published[place] for place in side) for side in (contrast.plus, contrast.minus)
            )
            difference = round(plus - minus, 6)
            if claim.within is None:
                assert difference > claim.by, claim.text
            else:
                assert abs(difference) <= claim.within, claim.text
