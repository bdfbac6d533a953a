"""A table from its cells: tidy CSV, Markdown, LaTeX (booktabs) and a self-contained HTML page."""

import argparse
import csv
import io
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cld.config import is_generated, load_preset
from cld.errors import run_command
from cld.files import write_text
from cld.tables.cell import read_json
from cld.tables.spec import REFERENCE_ROW, Table, load_table, table_names

COLUMNS = (
    "table",
    "row",
    "column",
    "metric",
    "published",
    "value",
    "std",
    "n_seeds",
    "preset",
    "dataset",
    "cell",
)

_TEMPLATES = Environment(
    loader=PackageLoader("cld.tables"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def percent(value: float | None, std: float | None = None) -> str:
    """``56.7 ± 1.2``; a dash for no value."""
    if value is None:
        return "–"
    return f"{value:.1f}" if std is None else f"{value:.1f} ± {std:.1f}"


def tex(text: str) -> str:
    """``text`` with LaTeX's special characters escaped."""
    special = {
        "\\": r"\textbackslash{}",
        "±": r"$\pm$",
        "–": "--",
        "λ": r"$\lambda$",
        "~": r"\textasciitilde{}",
    }
    special |= {character: f"\\{character}" for character in "&%$#_{}"} | {"^": r"\textasciicircum{}"}
    return "".join(special.get(character, character) for character in text)


_TEMPLATES.filters["tex"] = tex


def code_version(code: Mapping) -> str:
    """A version in a few characters: ``0.1.0 (1a2b3c4d, changed)``."""
    commit = [code["commit"][:8]] if code["commit"] else []
    details = ", ".join(commit + ["changed"] * bool(code["dirty"]))
    return f"{code['version']} ({details})" if details else code["version"]


def tidy_csv(cells: Mapping[tuple[str, str], dict], paths: Mapping[tuple[str, str], str]) -> str:
    """One row a cell, in the columns of :data:`COLUMNS`; ``cell`` is the cell's file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**cell, "cell": paths[key]} for key, cell in cells.items())
    return text.getvalue()


def view(table: Table, cells: Mapping[tuple[str, str], dict], preset: str) -> dict:
    """What the templates show."""

    def entry(row: str, column: str) -> dict:
        cell = cells[row, column]
        return {"ours": percent(cell["value"], cell["std"]), "published": percent(cell["published"])}

    scale = load_preset(preset)
    scores = [score for cell in cells.values() for score in cell["scores"]]
    versions = sorted({code_version(score["provenance"]["code"]) for score in scores})
    published = any(cell["published"] is not None for cell in cells.values())
    seeds = sorted({cell["n_seeds"] for cell in cells.values() if cell["configuration"]})
    runs = {score["run"] for score in scores} - {None}
    return {
        "title": f"{table.title} at {scale['title']}",
        "caption": table.caption,
        "row_header": table.row_header,
        "columns": [column.label for column in table.columns],
        "rows": [
            {"label": row.label, "cells": [entry(row.key, column.key) for column in table.columns]}
            for row in table.rows
        ],
        "references": [
            {"label": reference.label, **entry(REFERENCE_ROW, reference.key)}
            for reference in table.references
        ],
        "published": published,
        "metric": {"top1": "top-1", "top5": "top-5"}[table.metric],
        "notes": [table.note] * bool(table.note)
        + [
            f"Ours: mean ± standard deviation over {' or '.join(map(str, seeds))} seed(s)."
            + " Published: the supplement's number." * published,
            f"Preset {preset}, dataset {table.dataset} ({scores[0]['provenance']['data_checksum'][:12]}), "
            f"{len(runs)} runs, code {', '.join(versions)}.",
        ],
    }


def warning(table: Table, preset: str) -> str:
    """What a reader of a demo table must know; empty where all data are real."""
    if not any(is_generated(preset, dataset) for dataset in {cell.dataset for cell in table.cells.values()}):
        return ""
    return (
        "Demo: generated data and a small network. These are not reproductions of the published numbers, "
        "which belong to the real dataset at full scale."
    )


def render(table: Table, cells: Mapping[tuple[str, str], dict], preset: str, results: str) -> dict[str, str]:
    """The table's four files by suffix."""
    paths = {key: f"{results}/{table.cells[key].path(preset)}" for key in cells}
    shown = {**view(table, cells, preset), "warning": warning(table, preset)}
    files = {
        kind: _TEMPLATES.get_template(f"table.{kind}.j2").render(shown) for kind in ("md", "tex", "html")
    }
    return {"csv": tidy_csv(cells, paths), **files}


def main() -> None:
    """Render one table from its cells."""
    parser = argparse.ArgumentParser(prog="python -m cld.tables.render", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--table", required=True, choices=table_names())
    parser.add_argument("--results", default="results", help="the results folder")
    args = parser.parse_args()
    table = load_table(args.table, args.preset)
    cells = {
        key: read_json(Path(args.results) / cell.path(args.preset), "build that cell first")
        for key, cell in table.cells.items()
    }
    for kind, text in render(table, cells, args.preset, args.results).items():
        write_text(Path(args.results) / args.preset / "tables" / f"{table.name}.{kind}", text)


if __name__ == "__main__":
    run_command(main)
