"""A table from its cells: tidy CSV, Markdown, LaTeX (booktabs), a self-contained HTML page and a picture."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cld.config import is_generated, load_preset
from cld.reporting.tables.cell import summarise
from cld.reporting.tables.claims import check, signed
from cld.reporting.tables.spec import REFERENCE_ROW, Cell, Place, Table
from cld.runtime.files import read_json, write_text

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
    "protocol",
    "difference",
    "best",
    "code",
)
#: How metrics are printed.
METRICS = {
    "top1": "top-1",
    "top5": "top-5",
    "ap50": "AP50",
    "ap": "AP",
    "ap75": "AP75",
    "ap50_07": "AP50 of VOC 2007",
    "ap_07": "AP of VOC 2007",
    "nmi": "NMI",
    "precision_at_k": "precision at k",
    "view_nmi": "NMI of two views",
    "view_retrieval": "retrieval between two views",
}
#: A LaTeX table with more lines than this runs over pages.
LONG = 45
MISSING = "– (missing)"
#: Cells of another code version that a footnote names at most.
NAMED = 8
#: A table's files.
KINDS = ("csv", "md", "tex", "html", "png")
#: The folders, in the preset's, of whole tables and of those with gaps.
FOLDER, FOLDER_NOW = "tables", "tables_now"

_TEMPLATES = Environment(
    loader=PackageLoader("cld.reporting.tables"),
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


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "’": "'",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "λ": r"$\lambda$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def tex(text: str) -> str:
    """``text`` with LaTeX's special characters escaped."""
    return "".join(_TEX.get(character, character) for character in text)


def md(text: str) -> str:
    """``text`` with the characters escaped that mean something in a Markdown table."""
    return "".join(f"\\{character}" if character in "\\|*_<" else character for character in text)


_TEMPLATES.filters |= {"tex": tex, "md": md}


def code_version(code: Mapping) -> str:
    """A version in a few characters: ``0.1.0 (1a2b3c4d, changed)``."""
    commit = [code["commit"][:8]] if code["commit"] else []
    details = ", ".join(commit + ["changed"] * bool(code["dirty"]))
    return f"{code['version']} ({details})" if details else code["version"]


def difference(cell: Mapping) -> float | None:
    """Ours less the published number, in percentage points."""
    return None if cell["published"] is None else cell["value"] - cell["published"]


def best_places(table: Table, cells: Mapping[Place, dict]) -> set[Place]:
    """Where the best numbers of the grid stand; of a single one nothing is said.

    Only cells of one dataset, protocol and metric are compared, and equal ones (as printed) are equally good.
    """

    def among(place: Place) -> tuple:
        row, column = place
        cell = cells[place]
        scope = {"column": (groups[row], column), "row": (row,), "table": (groups[row],)}[table.best]
        return (*scope, cell["dataset"], cell["protocol"], cell["metric"])

    groups = {row.key: row.group for row in table.rows}
    if table.best == "none":
        return set()
    places = sorted((place for place in cells if place[0] in groups), key=lambda place: repr(among(place)))
    best = set()
    for _, some in groupby(places, among):
        printed = {place: percent(cells[place]["value"]) for place in some}
        if len(printed) > 1:
            most = max(map(float, printed.values()))
            best |= {place for place, text in printed.items() if float(text) == most}
    return best


def tidy_csv(cells: Mapping[Place, dict], paths: Mapping[Place, str], best: set[Place]) -> str:
    """One row a cell, in the columns of :data:`COLUMNS`; ``cell`` is the cell's file."""

    def row(place: Place, cell: dict) -> dict:
        away = difference(cell)
        own = {
            "difference": None if away is None else round(away, 4),
            "best": int(place in best),
            "code": "; ".join(sorted(_versions(cell))),
        }
        return {**cell, **own, "cell": paths[place]}

    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row(place, cell) for place, cell in cells.items())
    return text.getvalue()


def view(table: Table, cells: Mapping[Place, dict], preset: str) -> dict:
    """What the templates and the picture show: nothing but texts, in the order they are printed.

    ``cells`` may lack some of the table's: their places are marked.
    """
    best = best_places(table, cells)

    def entry(place: Place) -> dict:
        cell, asked = cells.get(place), table.cells.get(place)
        published = asked.published if asked else None
        texts = {"ours": "", "published": "", "difference": ""}
        if asked:
            ours, away = MISSING, None
            if cell:
                fewer = f" ({cell['n_seeds']} of {len(asked.seeds)} seeds)" * _lacks_seeds(cell, asked)
                ours, away = percent(cell["value"], cell["std"]) + fewer, difference(cell)
            texts = {
                "ours": ours,
                "published": percent(published),
                "difference": "–" if away is None else signed(away),
            }
        return {**texts, "best": place in best, "missing": bool(asked) and cell is None}

    generated = any(is_generated(preset, cell.dataset) for cell in table.cells.values())
    metrics = dict.fromkeys(METRICS[cell.metric] for cell in table.cells.values())
    return {
        "title": f"{table.title}{' (demo: generated data)' * generated}, {load_preset(preset)['title']}",
        "warning": warning(table, preset),
        "caption": f"{table.caption} In percent ({', '.join(metrics)}).",
        "row_header": table.row_header,
        "columns": [column.label for column in table.columns],
        "groups": [
            {
                "label": group,
                "rows": [
                    {"label": row.label, "cells": [entry((row.key, column.key)) for column in table.columns]}
                    for row in rows
                ],
            }
            for group, rows in groupby(table.rows, lambda row: row.group)
        ],
        "references": [
            {"label": reference.label, **entry((REFERENCE_ROW, reference.key))}
            for reference in table.references
        ],
        "published": any(cell.published is not None for cell in table.cells.values()),
        "best": bool(best),
        "is_long": len(table.rows) + len({row.group for row in table.rows}) > LONG,
        "checks_title": f"Checks of claims{', on demo numbers' * generated}:",
        "checks": [check(claim, cells, table) for claim in table.claims],
        "notes": [table.note] * bool(table.note) + list(_notes(table, cells, preset, bool(best))),
    }


def _lacks_seeds(cell: Mapping, asked: Cell) -> bool:
    return cell["configuration"] is not None and cell["n_seeds"] < len(asked.seeds)


def _notes(table: Table, cells: Mapping[Place, dict], preset: str, has_best: bool) -> Iterable[str]:
    missing = len(table.cells) - len(cells)
    fewer = sum(_lacks_seeds(cell, table.cells[place]) for place, cell in cells.items())
    gaps = [f"{missing} missing"] * bool(missing) + [f"{fewer} of fewer seeds than asked for"] * bool(fewer)
    if gaps:
        yield f"Partial: of {len(table.cells)} cells {' and '.join(gaps)}."
    seeds = sorted({cell["n_seeds"] for cell in cells.values() if cell["configuration"]})
    several = any(n > 1 for n in seeds)
    over = (
        f"Ours: mean ± standard deviation over {' or '.join(map(str, seeds))} seeds."
        if several
        else "Ours: one seed."
    )
    published = any(cell.published is not None for cell in table.cells.values())
    yield (
        over * bool(seeds)
        + " Published: the authors' number; difference: ours less published." * published
        + " Bold: the best." * has_best
    ).strip()
    yield from _mixed_versions(cells)
    scores = [score for cell in cells.values() for score in cell["scores"]]
    data: dict[str, set] = {}
    for cell in cells.values():
        scored_on = cell["protocol"].removeprefix("detection_")  # a run on ImageNet is scored on VOC
        store = scored_on if scored_on != cell["protocol"] else cell["dataset"]
        data.setdefault(store, set()).update(s["provenance"]["data_checksum"][:12] for s in cell["scores"])
    if scores:
        runs = {score["run"] for score in scores} - {None}
        stores = ", ".join(f"{name} ({' and '.join(sorted(sums))})" for name, sums in data.items())
        versions = ", ".join(sorted(set().union(*map(_versions, cells.values()))))
        yield f"Preset {preset}, data of {stores}, {len(runs)} runs, code {versions}."


def _mixed_versions(cells: Mapping[Place, dict]) -> Iterable[str]:
    """A warning where scores were made by different versions of the code: by which, and in which cells."""
    of_cells = {place: _versions(cell) for place, cell in cells.items()}
    counts = Counter(version for versions in of_cells.values() for version in versions)
    if len(counts) < 2:
        return
    (most, n), *others = counts.most_common()
    parts = [f"{most} in {n} cells"]
    for version, n in others:
        places = ["/".join(place) for place, versions in of_cells.items() if version in versions]
        more = f" and {n - NAMED} more" * (n > NAMED)
        parts.append(f"{version} in {', '.join(places[:NAMED])}{more}")
    yield f"Mixed code versions: {'; '.join(parts)}. Build the cells of one again; the CSV has each cell's."


def _versions(cell: Mapping) -> set[str]:
    """Versions of the code that trained or scored a cell's runs."""
    of_scores = [score["provenance"] for score in cell["scores"]]
    codes = [code for origin in of_scores for code in (origin["code"], origin["trained_by"]) if code]
    return set(map(code_version, codes))


def warning(table: Table, preset: str) -> str:
    """What a reader of a demo table must know; empty where all data are real."""
    if not any(is_generated(preset, dataset) for dataset in {cell.dataset for cell in table.cells.values()}):
        return ""
    return (
        "Demo: generated data and a small network. These are not reproductions of the published numbers, "
        "which belong to the real dataset at full scale."
    )


def render(
    table: Table, cells: Mapping[Place, dict], shown: Mapping, preset: str, results: str | Path
) -> dict:
    """The table's four texts by suffix; ``shown`` is its :func:`view`."""
    paths = {place: f"{results}/{table.cells[place].path(preset)}" for place in cells}
    files = {
        kind: _TEMPLATES.get_template(f"table.{kind}.j2").render(shown) for kind in ("md", "tex", "html")
    }
    return {"csv": tidy_csv(cells, paths, best_places(table, cells)), **files}


def write(
    table: Table, cells: Mapping[Place, dict], preset: str, results: str | Path, folder: str = FOLDER
) -> None:
    """Write the table's files, of :data:`KINDS`, to a folder of the preset's."""
    from cld.reporting.tables.picture import draw  # matplotlib takes half a second, and importers need none

    path = Path(results) / preset / folder / f"{table.name}.csv"
    shown = view(table, cells, preset)
    for kind, text in render(table, cells, shown, preset, results).items():
        write_text(path.with_suffix(f".{kind}"), text)
    draw(shown, path.with_suffix(".png"))


def built_cells(table: Table, preset: str, results: str | Path) -> dict[Place, dict]:
    """All of a table's cells, from their files.

    Raises:
        InputError: one is missing.
    """
    return {
        place: read_json(Path(results) / cell.path(preset), "build that cell first, or render with --partial")
        for place, cell in table.cells.items()
    }


def available_cells(table: Table, preset: str, results: str | Path) -> dict[Place, dict]:
    """The cells of which there is at least one score, computed afresh from the scores that are there.

    Cells' files are not read: their paths do not tell whether they still are what the table asks for.
    """
    cells = {}
    for place, cell in table.cells.items():
        files = [path for name in cell.scores(preset) if (path := Path(results) / name).exists()]
        if files:
            cells[place] = summarise(
                cell, preset, [read_json(path, "evaluate that run again") for path in files]
            )
    return cells
