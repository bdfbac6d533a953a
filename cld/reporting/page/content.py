"""Write the index page, one HTML file that loads nothing from anywhere: ``cld page``.

What it shows is gathered from the files of a results folder into one dictionary, which the template prints.

Nothing is computed here but sums of wall times: the page shows a number as its cell's file has it.
"""

import base64
import io
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from string import ascii_lowercase

from PIL import Image

from cld.config import is_generated, load_config, load_preset, read_yaml
from cld.reporting.markup import filled
from cld.reporting.needed_runs import SUPPLEMENT, requested_tables
from cld.reporting.page.cells import SNAKEMAKE, PresetFiles, cell_content
from cld.reporting.results_arguments import add_results_arguments
from cld.reporting.tables.cell import read_cell
from cld.reporting.tables.claims import check
from cld.reporting.tables.render import best_places, code_version
from cld.reporting.tables.spec import REFERENCE_ROW, TABLE_KINDS, Axis, Place, Table
from cld.reporting.targets import CAPTIONS, Targets
from cld.runtime.arguments import ArgumentParser
from cld.runtime.files import write_text
from cld.runtime.provenance import provenance

#: A figure's files, in the order of their links.
FIGURE_KINDS = ("pdf", "svg", "csv", "png")
#: Of the pictures in the page, in pixels: twice what a phone has, and a wide column's own.
MAX_WIDTH = 1200
QUALITY = 80


def main() -> None:
    """Write a preset's index page: its tables, figures and datasets, and where each number comes from.

    What does not exist yet is shown as missing, with the command that makes it: the page can be written, and
    written again, while the workflow runs.
    """
    parser = ArgumentParser(prog="cld page", description=main.__doc__)
    add_results_arguments(parser)
    parser.add_argument(
        "--tables", nargs="*", help="files of config/tables; default: the supplement's and those begun"
    )
    parser.add_argument("--out", type=Path, help="the page; default: <results>/<preset>/index.html")
    parser.add_argument(
        "--now", action="store_true", help="as in cld tables; a page is always of what exists"
    )
    args = parser.parse_args()
    tables = requested_tables(args.tables, args.preset)
    if not args.tables:  # of others than the supplement's those that something exists of
        folder = Path(args.results) / args.preset / "cells"
        tables = [table for table in tables if table.name in SUPPLEMENT or (folder / table.name).is_dir()]
    out = args.out or Path(args.results) / args.preset / "index.html"
    write_text(out, filled("index.html.j2", gather(PresetFiles(args.results, args.preset, out), tables)))
    print(f"page: {out}")


def gather(files: PresetFiles, tables: Sequence[Table]) -> dict:
    """Everything on the page of a preset.

    Args:
        files: the preset's.
        tables: at the preset's scale.

    Returns:
        ``tables``, ``cells`` by ``table/row/column``, ``runs`` by id, ``figures``, ``datasets``, and a
        summary of them; all of it can be written as JSON.

    Raises:
        InputError: a file is damaged; names it.
    """
    preset = files.preset
    runs: dict[str, dict] = {}
    cells: dict[str, dict] = {}
    shown = []
    for table in tables:
        built = _built_cells(files, table)
        own = {
            place: cell_content(files, table, cell, built.get(place), runs)
            for place, cell in table.cells.items()
        }
        cells |= {_key(table, place): cell for place, cell in own.items()}
        shown.append(_table(files, table, own, built))
    present = [cell for cell in cells.values() if cell["value"] is not None]
    dates = sorted(run["date"] for cell in present for run in cell["runs"] if run["date"])
    datasets = dict.fromkeys(cell.dataset for table in tables for cell in table.cells.values())
    return {
        "preset": preset,
        "scale": load_preset(preset)["title"],
        "is_generated": any(table.is_generated for table in tables),
        "built": _day(provenance()["date"]),
        "code": code_version(provenance()["code"]),
        "versions": _tally(run["version"] for cell in present for run in cell["runs"]),
        "from": _day(dates[0]) if dates else None,
        "to": _day(dates[-1]) if dates else None,
        "n_cells": len(cells),
        "n_present": len(present),
        "n_outdated": sum(cell["status"] == "outdated" for cell in cells.values()),
        "cost": _total_times(present, runs),
        "commands": {
            "tables": f"{SNAKEMAKE} all_tables",
            "figures": f"{SNAKEMAKE} all_figures",
            "everything": f"{SNAKEMAKE} everything",
        },
        "tables": shown,
        "cells": cells,
        "runs": runs,
        "figures": _figures(files),
        "datasets": _datasets(files, datasets),
    }


def _key(table: Table, place: Place) -> str:
    return "/".join((table.name, *place))


def _built_cells(files: PresetFiles, table: Table) -> dict[Place, dict]:
    """The contents of a table's cell files, of those cells that have one."""
    built = {}
    for place, cell in table.cells.items():
        path = files.results / cell.path
        if path.exists():
            built[place] = read_cell(path, f"make it again: {SNAKEMAKE} --force {shlex.quote(str(path))}")
    return built


def _table(
    files: PresetFiles, table: Table, cells: Mapping[Place, dict], built: Mapping[Place, dict]
) -> dict:
    """A table as the page prints it; ``cells`` as :func:`cell_content` gives them."""
    versions = _tally(run["version"] for cell in cells.values() for run in cell["runs"])
    marks = dict(zip(versions, ascii_lowercase, strict=False)) if len(versions) > 1 else {}
    current = {place: cell for place, cell in built.items() if cells[place]["status"] == "present"}
    best = best_places(table, current)

    def at(row: str, column: str) -> dict | None:
        """The cell at a place of the grid; None where the table has none."""
        place = row, column
        if place not in cells:
            return None
        used = {run["version"] for run in cells[place]["runs"]}
        shown_marks = "".join(mark for version, mark in marks.items() if version in used)
        return {"key": _key(table, place), "marks": shown_marks, "is_best": place in best}

    def line(row: Axis, found: list[dict | None]) -> dict:
        return {"label": row.label, "group": row.group, "places": found}

    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "note": table.note,
        "metrics": list(dict.fromkeys(cell["metric"] for cell in cells.values())),
        "is_generated": table.is_generated,
        "row_header": table.row_header,
        "columns": [column.label for column in table.columns],
        "rows": [line(row, [at(row.key, column.key) for column in table.columns]) for row in table.rows],
        "references": [line(reference, [at(REFERENCE_ROW, reference.key)]) for reference in table.references],
        "checks": [asdict(check(claim, current, table)) for claim in table.claims],
        "has_best": bool(best),
        "has_published": table.has_published,
        "versions": [{"mark": mark, "version": version} for version, mark in marks.items()],
        "n_cells": len(cells),
        "n_present": len(built),
        "files": files.links({kind: files / f"tables/{table.name}.{kind}" for kind in TABLE_KINDS}),
        "command": files.build(f"tables/{table.name}.html"),
    }


def _total_times(cells: Iterable[dict], runs: Mapping[str, dict]) -> dict:
    """Wall times behind the numbers: each run's training and each score's evaluation once, in seconds."""
    scores = {(cell["protocol"], score["subject"]): score for cell in cells for score in cell["runs"]}
    trained = {score["run"] for score in scores.values()} - {None}
    return {
        "n_runs": len(trained),
        "train_s": sum(runs[run]["seconds"] or 0 for run in trained),
        "evaluate_s": sum(score["seconds"] or 0 for score in scores.values()),
    }


def _tally(versions: Iterable[str | None]) -> list[str]:
    """Code versions, the most frequent first."""
    return [version for version, _ in Counter(filter(None, versions)).most_common()]


def _day(date: str) -> str:
    """``2026-11-23T13:27:27+00:00`` as ``23 November 2026, 13:27 UTC``."""
    day = datetime.fromisoformat(date)
    return f"{day.day} {day:%B %Y}, {day:%H:%M} UTC"


def _figures(files: PresetFiles) -> list[dict]:
    """The figures that the preset can make, those missing too, then whatever else is among the figures."""
    captions = read_yaml(CAPTIONS)
    found = sorted(path.stem for path in (files / "figures").glob("*.png"))
    figures = []
    for name in dict.fromkeys([*Targets(load_config()).available_figures(files.preset), *found]):
        text = captions.get(name, {"title": name.replace("_", " "), "caption": ""})
        paths = {kind: files / f"figures/{name}.{kind}" for kind in FIGURE_KINDS}
        shown = {"picture": embedded(paths["png"]), "files": files.links(paths)}
        figures.append({"name": name, **text, **shown, "command": files.build(f"figures/{name}.png")})
    return figures


def _datasets(files: PresetFiles, needed: Iterable[str]) -> list[dict]:
    """The cards of the stores that the tables need, then of the others that exist."""
    found = sorted(path.name.removesuffix(".card.md") for path in (files / "stores").glob("*.card.md"))
    return [_dataset(files, name) for name in dict.fromkeys([*needed, *found])]


def _dataset(files: PresetFiles, name: str) -> dict:
    paths = {kind: files / f"stores/{name}.{kind}" for kind in ("card.md", "report.md", "manifest.csv")}
    card = paths["card.md"]
    lines = card.read_text(encoding="utf-8").splitlines() if card.exists() else []
    return {
        "name": name,
        "is_generated": is_generated(files.preset, name),
        "facts": [line.removeprefix("- ").replace("`", "") for line in lines if line.startswith("- ")],
        "picture": embedded(files / f"stores/{name}.card.png"),
        "files": files.links(paths),
        "command": files.build(f"stores/{name}.card.md"),
    }


def embedded(path: Path) -> dict | None:
    """A picture file as a data URI (WebP, a tenth of the PNG), with its size: ``source, width, height``.

    None where there is no such file.
    """
    if not path.exists():
        return None
    with Image.open(path) as image:
        picture = image.convert("RGB")
    if picture.width > MAX_WIDTH:
        height = round(picture.height * MAX_WIDTH / picture.width)
        picture = picture.resize((MAX_WIDTH, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "webp", quality=QUALITY, method=2)
    encoded = base64.b64encode(content.getvalue()).decode("ascii")
    return {
        "source": f"data:image/webp;base64,{encoded}",
        "width": picture.width,
        "height": picture.height,
    }
