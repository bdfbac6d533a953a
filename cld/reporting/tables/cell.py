"""A cell: the mean of one metric over its runs' scores, with everything needed to trace it."""

import sys
from collections.abc import Mapping
from pathlib import Path

from cld.config import is_generated, load_preset, load_protocol, section_of, validate
from cld.evaluation.compare import read_score
from cld.evaluation.statistics import mean_sd, one_metric
from cld.reporting.tables.spec import Cell, Place, Table, load_table
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError
from cld.runtime.files import read_json, write_json


def summarise(cell: Cell, scores: list[dict]) -> dict:
    """A cell's number from its scores, in percent: mean and sample deviation over seeds.

    Of each score it keeps what :func:`cld.evaluation.statistics.one_metric` returns, which suffices to
    compare two cells.

    Raises:
        InputError: a score lacks the metric.
    """
    for score in scores:
        if cell.metric not in score["metrics"]:
            raise InputError(
                f"{cell.where}: the score of {score['run'] or cell.dataset} has no metric {cell.metric}, "
                f"only {', '.join(score['metrics'])}; evaluate that run again"
            )
    kept = [one_metric(score, cell.metric) for score in scores]
    mean, deviation = mean_sd([score["value"] for score in kept])
    return {
        "table": cell.table,
        "row": cell.row,
        "column": cell.column,
        "protocol": cell.protocol,
        "metric": cell.metric,
        "unit": "percent",
        "published": cell.published,
        "value": round(mean, 4),
        "std": None if deviation is None else round(deviation, 4),
        "n_seeds": len(kept),
        "preset": cell.preset,
        "scale": load_preset(cell.preset)["title"],
        "generated": is_generated(cell.preset, cell.dataset),
        "dataset": cell.dataset,
        "scores": kept,
        "settings": scores[0]["settings"],
        "configuration": next(iter(cell.runs.values()), None),
        "overrides": dict(cell.overrides),
    }


def built_cells(table: Table, results: str | Path) -> dict[Place, dict]:
    """All of a table's cells, from their files.

    Raises:
        InputError: one is missing.
    """
    fix = "build that cell first, or render with cld tables --now"
    return {place: read_cell(Path(results) / cell.path, fix) for place, cell in table.cells.items()}


def read_cell(path: Path, fix: str) -> dict:
    """A cell's file.

    Raises:
        InputError: it is missing, or is no cell; ``fix`` says how it is made again.
    """
    cell = read_json(path, fix)
    validate(cell, "cell", str(path), fix)
    return cell


def available_cells(table: Table, results: str | Path) -> dict[Place, dict]:
    """The cells that have at least one score, computed from the scores that exist.

    Cells' files are not read: their paths do not tell whether they still are what the table asks for. Scores
    by other settings of the protocol are left out, with a line each.
    """
    cells = {}
    for place, cell in table.cells.items():
        paths = [Path(results) / name for name in cell.scores]
        scores = [score for path in paths if path.exists() and (score := _asked_score(path, cell))]
        if scores:
            cells[place] = summarise(cell, scores)
    return cells


def _asked_score(path: Path, cell: Cell) -> dict | None:
    """A score; None, and a line that says so, where the protocol's settings were others than now."""
    score = read_score(path)
    asked = load_protocol(cell.preset, section_of(cell.protocol))
    for key in asked.keys() & score["settings"].keys():
        then, now = score["settings"][key], asked[key]
        # what a preset leaves open, or says of several datasets, is resolved in the score
        is_same = then == now or now is None or (isinstance(now, Mapping) and then in now.values())
        if not is_same:
            print(
                f"{path}: left out: made with {key} {then}, now {now}; evaluate that run again",
                file=sys.stderr,
            )
            return None
    return score


def main() -> None:
    """Average the scores of one cell's runs."""
    parser = ArgumentParser(prog="cld cell", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--table", required=True, help="a file of config/tables")
    parser.add_argument("--row", required=True)
    parser.add_argument("--column", required=True)
    parser.add_argument("--scores", nargs="+", required=True, help="score files, one a seed")
    parser.add_argument("--out", required=True, help="the cell's JSON file")
    args = parser.parse_args()
    cell = load_table(args.table, args.preset).cell(args.row, args.column)
    scores = [read_score(path) for path in args.scores]
    write_json(args.out, summarise(cell, scores))
