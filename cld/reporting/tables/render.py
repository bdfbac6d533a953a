"""A table from its cells, as CSV, Markdown, LaTeX (booktabs), HTML and a picture: ``cld tables``."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from cld.config import is_generated, load_preset
from cld.reporting.markup import filled
from cld.reporting.needed_runs import requested_tables
from cld.reporting.results_arguments import add_results_arguments
from cld.reporting.style import NO_REPRODUCTION
from cld.reporting.tables.cell import available_cells, built_cells
from cld.reporting.tables.claims import check, signed
from cld.reporting.tables.picture import draw
from cld.reporting.tables.spec import REFERENCE_ROW, TABLE_KINDS, Cell, Place, Table
from cld.runtime.arguments import ArgumentParser
from cld.runtime.files import write_text
from cld.runtime.progress import progress

#: Of the CSV.
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
    "generated",
    "cell",
    "protocol",
    "difference",
    "best",
    "code",
    "precision",
)
#: How metrics are printed.
METRICS = {
    "top1": "top-1",
    "top5": "top-5",
    "ap50": "AP50 by area",
    "ap": "AP as COCO counts it",
    "ap75": "AP75 as COCO counts it",
    "ap50_07": "AP50 by 11 points",
    "ap_07": "AP by 11 points",
    "nmi": "NMI",
    "precision_at_k": "precision at k",
    "view_nmi": "NMI of two views",
    "view_retrieval": "retrieval between two views",
}
#: On tables of generated data. Their titles say it in :data:`cld.reporting.style.NO_REPRODUCTION`.
DEMO_WARNING = (
    "Demo: generated data and a small network, to see that everything runs. The numbers, and which of them "
    "is the largest, change with seed and machine. They are not reproductions, and no evidence for or "
    "against any claim."
)
#: A LaTeX table with more lines than this runs over pages.
LONG = 45
MISSING = "– (missing)"
#: Cells of another code version that a footnote names at most.
NAMED = 8
#: The folders, in the preset's, of whole tables and of those with gaps.
FOLDER, FOLDER_NOW = "tables", "tables_now"


def percent(value: float | None, std: float | None = None) -> str:
    """``56.7 ± 1.2``; a dash for no value."""
    if value is None:
        return "–"
    return f"{value:.1f}" if std is None else f"{value:.1f} ± {std:.1f}"


def code_version(code: Mapping) -> str:
    """A version in a few characters: ``0.1.0 (1a2b3c4d, changed)``."""
    commit = [code["commit"][:8]] if code["commit"] else []
    details = ", ".join(commit + ["changed"] * bool(code["dirty"]))
    return f"{code['version']} ({details})" if details else code["version"]


def difference(cell: Mapping) -> float | None:
    """Ours less the published number, in percentage points; None on generated data, which it is not about."""
    if cell["published"] is None or cell["generated"]:
        return None
    return cell["value"] - cell["published"]


def best_places(table: Table, cells: Mapping[Place, dict]) -> set[Place]:
    """Where the best numbers of the grid stand; a number without rivals is not called the best.

    On generated data none is: which one it would be is chance. Only cells of one dataset, protocol and metric
    are compared, and equal ones (as printed) are equally good.
    """
    if table.best == "none" or table.is_generated:
        return set()
    groups = {row.key: row.group for row in table.rows}
    rivals = defaultdict(list)
    for (row, column), cell in cells.items():
        if row in groups:
            scope = {"column": (groups[row], column), "row": row, "table": groups[row]}[table.best]
            rivals[scope, cell["dataset"], cell["protocol"], cell["metric"]].append((row, column))
    best = set()
    for places in rivals.values():
        printed = {place: round(cells[place]["value"], 1) for place in places}
        if len(printed) > 1:
            best |= {place for place, value in printed.items() if value == max(printed.values())}
    return best


def tidy_csv(table: Table, cells: Mapping[Place, dict], results: str | Path) -> str:
    """One row a cell, in the columns of :data:`COLUMNS`; ``cell`` is the cell's file."""
    best = best_places(table, cells)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for place, cell in cells.items():
        away = difference(cell)
        own = {
            "cell": f"{results}/{table.cells[place].path}",
            "difference": None if away is None else round(away, 4),
            "best": int(place in best),
            "generated": int(cell["generated"]),
            "code": "; ".join(sorted(_versions(cell))),
            "precision": "; ".join(sorted(_precisions(cell))),
        }
        writer.writerow({**cell, **own})
    return text.getvalue()


def view(table: Table, cells: Mapping[Place, dict]) -> dict:
    """What the templates and the picture show: nothing but texts, in the order they are printed.

    ``cells`` may lack some of the table's: their places are marked. A number's ``key`` is the address of its
    cell on the index page, behind the ``#``.
    """
    best = best_places(table, cells)
    generated = table.is_generated
    heads = _heads(table)
    metrics = dict.fromkeys(METRICS[cell.metric] for cell in table.cells.values())

    def entry(row: str, column: str) -> dict:
        shown = _shown(table, cells, (row, column), len(heads) - 1)
        return {**shown, "best": (row, column) in best}

    scale = load_preset(table.preset)["title"]
    return {
        "title": f"{table.title} ({NO_REPRODUCTION})" if generated else f"{table.title}, {scale}",
        "warning": DEMO_WARNING * generated,
        "caption": f"{table.caption} In percent ({', '.join(metrics)}){f'; {scale}' * generated}.",
        "row_header": table.row_header,
        "columns": [column.label for column in table.columns],
        "groups": [
            {
                "label": group,
                "rows": [
                    {"label": row.label, "cells": [entry(row.key, column.key) for column in table.columns]}
                    for row in rows
                ],
            }
            for group, rows in groupby(table.rows, lambda row: row.group)
        ],
        "references": [
            {"label": reference.label, **entry(REFERENCE_ROW, reference.key)}
            for reference in table.references
        ],
        "heads": heads,
        "generated": generated,
        "is_long": len(table.rows) + len({row.group for row in table.rows}) > LONG,
        "checks_title": "Claims, which generated data cannot test:" if generated else "Checks of claims:",
        "checks": [check(claim, cells, table) for claim in table.claims],
        "notes": _notes(table, cells, bool(best)),
    }


def _heads(table: Table) -> list[str]:
    """What stands in each column of the grid: ours, and the published number where the table has any."""
    if not table.has_published:
        return ["ours"]
    return ["ours", "paper's target"] if table.is_generated else ["ours", "published", "difference"]


def _shown(table: Table, cells: Mapping[Place, dict], place: Place, n_others: int) -> dict:
    """What is printed in a place: nothing where no cell applies, and MISSING where it has not been built.

    ``others`` stand beside our number: the published one (in brackets where it is a target), the difference.
    """
    if place not in table.cells:
        return {"ours": "", "others": [""] * n_others, "missing": False, "key": ""}
    asked, cell = table.cells[place], cells.get(place)
    published = percent(asked.published)
    if asked.published is not None and is_generated(asked.preset, asked.dataset):
        published = f"({published})"
    ours, away, key = MISSING, None, ""
    if cell:
        away = difference(cell)
        fewer = f" ({cell['n_seeds']} of {len(asked.seeds)} seeds)" * _lacks_seeds(cell, asked)
        ours = percent(cell["value"], cell["std"]) + fewer
        key = quote("/".join(["cell", table.name, *place])).replace("~", "%7E")
    others = [published, "–" if away is None else signed(away)][:n_others]
    return {"ours": ours, "others": others, "missing": not cell, "key": key}


def _lacks_seeds(cell: Mapping, asked: Cell) -> bool:
    return cell["configuration"] is not None and cell["n_seeds"] < len(asked.seeds)


def _notes(table: Table, cells: Mapping[Place, dict], has_best: bool) -> list[str]:
    """The footnotes: the preset's own, gaps, what the numbers are, and where they come from."""
    notes = [table.note] if table.note else []
    missing = len(table.cells) - len(cells)
    fewer = sum(_lacks_seeds(cell, table.cells[place]) for place, cell in cells.items())
    gaps = [f"{missing} missing"] * bool(missing) + [f"{fewer} of fewer seeds than asked for"] * bool(fewer)
    if gaps:
        notes.append(f"Partial: of {len(table.cells)} cells {' and '.join(gaps)}.")
    meaning = []
    seeds = sorted({cell["n_seeds"] for cell in cells.values() if cell["configuration"]})
    if several := [n for n in seeds if n > 1]:
        single = "; without ±, one seed" * (1 in seeds)
        meaning.append(
            f"Ours: mean ± standard deviation over {' or '.join(map(str, several))} seeds{single}."
        )
    elif seeds:
        meaning.append("Ours: one seed.")
    if table.has_published and table.is_generated:
        meaning.append("In brackets: the paper's target, its number on the real data at the paper's scale.")
    elif table.has_published:
        meaning.append("Published: the authors' number; difference: ours less published.")
    if has_best:
        meaning.append("Bold: the best.")
    versions_of = {place: _versions(cell) for place, cell in cells.items()}
    precisions_of = {place: _precisions(cell) for place, cell in cells.items()}
    notes += [" ".join(meaning)] * bool(meaning)
    notes += [*_mixed("code versions", versions_of), *_mixed("precisions", precisions_of)]
    if cells:
        data: dict[str, set] = {}
        for cell in cells.values():
            scored_on = cell["protocol"].removeprefix("detection_")  # a run on ImageNet is scored on VOC
            store = scored_on if scored_on != cell["protocol"] else cell["dataset"]
            data.setdefault(store, set()).update(
                s["provenance"]["data_checksum"][:12] for s in cell["scores"]
            )
        runs = {score["run"] for cell in cells.values() for score in cell["scores"]} - {None}
        stores = ", ".join(f"{name} ({' and '.join(sorted(sums))})" for name, sums in data.items())
        versions = ", ".join(sorted(set().union(*versions_of.values())))
        notes.append(f"Preset {table.preset}, data of {stores}, {len(runs)} runs, code {versions}.")
    return notes


def _mixed(things: str, of_cells: Mapping[Place, set[str]]) -> Iterable[str]:
    """A warning where the runs or scores of a table differ in something: in what, and in which cells."""
    counts = Counter(value for values in of_cells.values() for value in values)
    if len(counts) < 2:
        return
    (most, n), *others = counts.most_common()
    parts = [f"{most} in {n} cells"]
    for value, n in others:
        places = ["/".join(place) for place, values in of_cells.items() if value in values]
        more = f" and {n - NAMED} more" * (n > NAMED)
        parts.append(f"{value} in {', '.join(places[:NAMED])}{more}")
    yield f"Mixed {things}: {'; '.join(parts)}. Build the cells of one again; the CSV has each cell's."


def _versions(cell: Mapping) -> set[str]:
    """Versions of the code that trained or scored a cell's runs."""
    of_scores = [score["provenance"] for score in cell["scores"]]
    codes = [code for origin in of_scores for code in (origin["code"], origin["trained_by"]) if code]
    return set(map(code_version, codes))


def _precisions(cell: Mapping) -> set[str]:
    """What the backbones of a cell's runs computed in while they were trained, where that is known."""
    makers = (score["provenance"]["trained_by"] or {} for score in cell["scores"])
    return {maker["precision"] for maker in makers if maker.get("precision")}


def render(table: Table, cells: Mapping[Place, dict], shown: Mapping, results: str | Path) -> dict[str, str]:
    """The table's four texts by suffix; ``shown`` is its :func:`view`."""
    texts = {kind: filled(f"table.{kind}.j2", shown) for kind in ("md", "tex", "html")}
    return {"csv": tidy_csv(table, cells, results), **texts}


def write(table: Table, cells: Mapping[Place, dict], results: str | Path, folder: str = FOLDER) -> None:
    """Write the table's files, of :data:`TABLE_KINDS`, to a folder of the preset's."""
    path = Path(results) / table.preset / folder / f"{table.name}.csv"
    shown = view(table, cells)
    for kind, text in render(table, cells, shown, results).items():
        write_text(path.with_suffix(f".{kind}"), text)
    draw(shown, path.with_suffix(".png"))


def main() -> None:
    """Render tables from their cells; with --now from the scores that exist, gaps marked."""
    parser = ArgumentParser(prog="cld tables", description=main.__doc__)
    add_results_arguments(parser)
    parser.add_argument("--tables", nargs="+", help="files of config/tables; default: all that are available")
    parser.add_argument("--now", action="store_true", help=f"from the scores so far, into {FOLDER_NOW}/")
    args = parser.parse_args()
    tables = requested_tables(args.tables, args.preset)
    if not args.now:
        for table in tables:
            write(table, built_cells(table, args.results), args.results)
        return
    folder, lines = Path(args.results) / args.preset / FOLDER_NOW, []
    with progress("render", len(tables), "tables") as bar:
        for table in tables:
            cells = available_cells(table, args.results)
            if cells:
                write(table, cells, args.results, FOLDER_NOW)
            else:  # tables of an earlier call, whose scores are gone
                for kind in TABLE_KINDS:
                    (folder / f"{table.name}.{kind}").unlink(missing_ok=True)
            lines.append(f"{table.name}: {len(cells)} of {len(table.cells)} cells")
            bar.advance()
    print("\n".join([*lines, f"in {folder}"]))
