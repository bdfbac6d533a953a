"""A cell: the mean of one metric over its runs' scores, with everything needed to trace it."""

import argparse
from statistics import fmean, stdev

from cld.config import is_generated, load_preset
from cld.reporting.tables.spec import Cell, load_table
from cld.runtime.errors import InputError
from cld.runtime.files import read_json, write_json


def summarise(cell: Cell, preset: str, scores: list[dict]) -> dict:
    """A cell's number from its scores, in percent: mean and sample deviation over seeds.

    Of each score it keeps the value, where it comes from and, where the score says so, which of ``n`` images
    were right (``hits``, as :func:`cld.evaluation.statistics.packed_hits` packs them): what it takes to
    compare two cells.

    Raises:
        InputError: a score lacks the metric.
    """
    kept = [_kept(cell, score) for score in scores]
    values = [score["value"] for score in kept]
    scale = load_preset(preset)
    return {
        "table": cell.table,
        "row": cell.row,
        "column": cell.column,
        "protocol": cell.protocol,
        "metric": cell.metric,
        "unit": "percent",
        "published": cell.published,
        "value": round(fmean(values), 4),
        "std": round(stdev(values), 4) if len(values) > 1 else None,
        "n_seeds": len(values),
        "preset": preset,
        "scale": scale["title"],
        "generated": is_generated(preset, cell.dataset),
        "dataset": cell.dataset,
        "scores": kept,
        "settings": scores[0]["settings"],
        "configuration": next(iter(cell.runs(preset).values()), None),
        "overrides": dict(cell.overrides),
    }


def _kept(cell: Cell, score: dict) -> dict:
    if cell.metric not in score["metrics"]:
        raise InputError(
            f"{cell.where}: the score of {score['run'] or cell.dataset} has no metric {cell.metric}, only "
            f"{', '.join(score['metrics'])}; evaluate that run again"
        )
    details = score.get("details", {})
    return {
        "run": score["run"],
        "seed": score["seed"],
        "value": score["metrics"][cell.metric],
        "n": details.get("n"),
        "hits": details.get("hits", {}).get(cell.metric),
        "provenance": score["provenance"],
    }


def main() -> None:
    """Average the scores of one cell's runs."""
    parser = argparse.ArgumentParser(prog="cld cell", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--table", required=True, help="a file of config/tables")
    parser.add_argument("--row", required=True)
    parser.add_argument("--column", required=True)
    parser.add_argument("--scores", nargs="+", required=True, help="score files, one a seed")
    parser.add_argument("--out", required=True, help="the cell's JSON file")
    args = parser.parse_args()
    cell = load_table(args.table, args.preset).cell(args.row, args.column)
    scores = [read_json(path, "evaluate that run again") for path in args.scores]
    write_json(args.out, summarise(cell, args.preset, scores))
