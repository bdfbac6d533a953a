"""What the index page shows, gathered from the files of a results folder into one dictionary.

Nothing is computed here but sums of costs: a number stands in the page as it stands in its cell's file.
"""

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from string import ascii_lowercase
from urllib.parse import quote

from cld.config import (
    flat,
    format_overrides,
    is_generated,
    load_preset,
    parse_yaml,
    read_yaml,
)
from cld.evaluation.protocol_names import STORE_PROTOCOLS
from cld.reporting.job_time import job_time
from cld.reporting.page.curves import curves
from cld.reporting.page.pictures import embedded
from cld.reporting.tables.claims import check
from cld.reporting.tables.render import KINDS, METRICS, best_places, code_version, percent
from cld.reporting.tables.spec import REFERENCE_ROW, Axis, Cell, Place, Table
from cld.run_id import overrides_of
from cld.runtime.files import read_json
from cld.runtime.provenance import provenance
from cld.training.run_folder import stage

#: How every command of the page starts; on a cluster ``--profile slurm`` stands in place of ``--cores 2``.
SNAKEMAKE = "snakemake --cores 2"
CAPTIONS = Path(__file__).parent / "captions.yaml"
#: A figure's files, in the order of their links.
FIGURE_KINDS = ("pdf", "svg", "csv", "png")


class Places:
    """Where the files of a preset lie, and how the page and its commands name them.

    Args:
        results: the results folder, as the commands are to name it.
        preset: its scale.
        page: the file of the page: links in it are relative to its folder.
    """

    def __init__(self, results: str | Path, preset: str, page: str | Path):
        self.results, self.preset = Path(results), preset
        self._start = Path(page).absolute().parent

    def __truediv__(self, path: str) -> Path:
        """A file of the preset's folder."""
        return self.results / self.preset / path

    def links(self, paths: Mapping[str, Path]) -> list[dict[str, str]]:
        """Links to those of the files that are there, by their labels."""
        return [
            {"label": label, "href": quote(os.path.relpath(path.absolute(), self._start))}
            for label, path in paths.items()
            if path.exists()
        ]

    def build(self, path: str) -> str:
        """The command that builds a file of the preset's folder."""
        return f"{SNAKEMAKE} {shlex.quote(str(self / path))}"

    def afresh(self, rule: str, path: str) -> str:
        """The command that builds a file with the jobs of ``rule`` that it needs, and no others, run again.

        Snakemake removes a job's outputs before it runs it: a complete checkpoint does not stand in the way.
        """
        return f"{SNAKEMAKE} --forcerun {rule} -- {shlex.quote(str(self / path))}"


def gather(places: Places, tables: Sequence[Table]) -> dict:
    """Everything on the page of a preset.

    Args:
        places: the preset's files.
        tables: at the preset's scale.

    Returns:
        ``tables``, ``cells`` by ``table/row/column``, ``runs`` by id, ``figures``, ``datasets``, and a
        summary of them; all of it can be written as JSON.

    Raises:
        InputError: a file is damaged; names it.
    """
    preset = places.preset
    runs: dict[str, dict] = {}
    cells: dict[str, dict] = {}
    shown = []
    for table in tables:
        built = _built_cells(places, table)
        own = {
            place: _cell(places, table, cell, built.get(place), runs) for place, cell in table.cells.items()
        }
        cells |= {_key(table, place): cell for place, cell in own.items()}
        shown.append(_table(places, table, own, built))
    present = [cell for cell in cells.values() if cell["value"] is not None]
    dates = sorted(run["date"] for cell in present for run in cell["runs"] if run["date"])
    datasets = dict.fromkeys(cell.dataset for table in tables for cell in table.cells.values())
    return {
        "preset": preset,
        "scale": load_preset(preset)["title"],
        "is_generated": any(is_generated(preset, dataset) for dataset in datasets),
        "built": _day(provenance()["date"]),
        "code": code_version(provenance()["code"]),
        "versions": _tally(run["version"] for cell in present for run in cell["runs"]),
        "from": _day(dates[0]) if dates else None,
        "to": _day(dates[-1]) if dates else None,
        "n_cells": len(cells),
        "n_present": len(present),
        "n_outdated": sum(cell["status"] == "outdated" for cell in cells.values()),
        "cost": _total_cost(present, runs),
        "commands": {
            "tables": f"{SNAKEMAKE} all_tables",
            "figures": f"{SNAKEMAKE} all_figures",
            "page": places.build("index.html"),
        },
        "tables": shown,
        "cells": cells,
        "runs": runs,
        "figures": _figures(places),
        "datasets": _datasets(places, datasets),
    }


def _key(table: Table, place: Place) -> str:
    return "/".join((table.name, *place))


def _built_cells(places: Places, table: Table) -> dict[Place, dict]:
    """Those of a table's cells that have a file, as it says."""
    built = {}
    for place, cell in table.cells.items():
        path = places.results / cell.path(places.preset)
        if path.exists():
            built[place] = read_json(path, f"delete it, then {SNAKEMAKE} {shlex.quote(str(path))}")
    return built


def _table(places: Places, table: Table, cells: Mapping[Place, dict], built: Mapping[Place, dict]) -> dict:
    """A table as the page prints it; ``cells`` as :func:`_cell` gives them."""
    versions = _tally(run["version"] for cell in cells.values() for run in cell["runs"])
    marks = dict(zip(versions, ascii_lowercase, strict=False)) if len(versions) > 1 else {}
    current = {place: cell for place, cell in built.items() if cells[place]["status"] == "present"}
    best = best_places(table, current)

    def at(row: str, column: str) -> dict | None:
        """What stands at a place of the grid; None where the table asks for nothing."""
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
        "is_generated": any(cell["is_generated"] for cell in cells.values()),
        "row_header": table.row_header,
        "columns": [column.label for column in table.columns],
        "rows": [line(row, [at(row.key, column.key) for column in table.columns]) for row in table.rows],
        "references": [line(reference, [at(REFERENCE_ROW, reference.key)]) for reference in table.references],
        "checks": [asdict(check(claim, current, table)) for claim in table.claims],
        "has_best": bool(best),
        "has_published": any(cell["published"] is not None for cell in cells.values()),
        "versions": [{"mark": mark, "version": version} for version, mark in marks.items()],
        "n_cells": len(cells),
        "n_present": len(built),
        "files": places.links({kind: places / f"tables/{table.name}.{kind}" for kind in KINDS}),
        "command": places.build(f"tables/{table.name}.html"),
    }


def _cell(places: Places, table: Table, cell: Cell, built: Mapping | None, runs: dict[str, dict]) -> dict:
    """A cell of the page, whether it is ``built`` or not; adds its runs to ``runs``."""
    preset = places.preset
    expected = cell.runs(preset)
    file = places.results / cell.path(preset)
    path = cell.path(preset).removeprefix(f"{preset}/")
    scores = {score["run"] or cell.dataset: score for score in built["scores"]} if built else {}
    is_outdated = bool(scores) and set(scores) != set(expected or [cell.dataset])
    for run in dict.fromkeys([*expected, *scores]):
        if cell.protocol not in STORE_PROTOCOLS and run not in runs:
            runs[run] = _run(places, run, expected.get(run))
    wanted = scores if is_outdated else dict.fromkeys(expected or [cell.dataset])
    rows = [_score(places, cell, subject, scores.get(subject), expected.get(subject)) for subject in wanted]
    row, column = _labels(table, cell)
    return {
        "title": table.title,
        "row": row,
        "column": column,
        "status": "missing" if not built else "outdated" if is_outdated else "present",
        "value": built["value"] if built else None,
        "text": percent(built["value"], built["std"]) if built else None,
        "published": percent(cell.published) if cell.published is not None else None,
        "metric": METRICS[cell.metric],
        "protocol": cell.protocol,
        "method": cell.method if expected else None,
        "dataset": cell.dataset,
        "is_generated": is_generated(preset, cell.dataset),
        "build": places.build(path),
        "afresh": places.afresh("pretrain" if expected else "evaluate_store", path),
        "overrides": _written(cell.overrides) if expected else {},
        "configuration": _configuration(places, scores, expected),
        "settings": _written(flat(built["settings"])) if built else {},
        "runs": rows,
        "provenance": _provenance(scores.values()),
        "files": places.links({"cell": file}),
    }


def _labels(table: Table, cell: Cell) -> tuple[str, str]:
    if cell.row == REFERENCE_ROW:
        return "for comparison", _label(table.references, cell.column)
    return _label(table.rows, cell.row), _label(table.columns, cell.column)


def _label(axis: Iterable[Axis], key: str) -> str:
    entry = next(entry for entry in axis if entry.key == key)
    return f"{entry.group}, {entry.label}" if entry.group else entry.label


def _score(places: Places, cell: Cell, subject: str, score: Mapping | None, config: Mapping | None) -> dict:
    """One of the scores that a cell averages: of a run, or of a store alone."""
    folder, file = places / f"runs/{subject}", places / f"scores/{subject}/{cell.protocol}.json"
    cost = job_time(places / f"benchmarks/evaluate/{subject}.{cell.protocol}.tsv")
    if cost is None and score and score["provenance"].get("wall_time_s") is not None:
        cost = {"s": score["provenance"]["wall_time_s"]}
    seed = score["seed"] if score else config["seed"] if config else None
    return {
        "subject": subject,
        "run": subject if cell.protocol not in STORE_PROTOCOLS else None,
        "seed": seed,
        "value": score["value"] if score else None,
        "stage": "scored" if file.exists() else stage(folder),
        "date": score["provenance"]["date"] if score else None,
        "version": code_version(score["provenance"]["code"]) if score else None,
        "cost": cost,
        "files": places.links({"score": file}),
    }


def _run(places: Places, run: str, config: Mapping | None) -> dict:
    """What the page shows of a run in any cell; ``config`` is None for one that no table asks for now."""
    folder = places / f"runs/{run}"
    files = {
        "configuration": folder / "config.yaml",
        "curves": folder / "log.csv",
        "checkpoint": folder / "checkpoint.pt",
        "log": places / f"logs/pretrain/{run}.log",
    }
    return {
        "curves": curves(folder / "log.csv"),
        "cost": job_time(places / f"benchmarks/pretrain/{run}.tsv"),
        "command": _by_hand(places, run, config) if config else None,
        "files": places.links(files),
    }


def _by_hand(places: Places, run: str, config: Mapping) -> str:
    """The command that trains a run without Snakemake."""
    arguments = ["--preset", places.preset, "--dataset", config["dataset"], "--method", config["method"]]
    arguments += ["--seed", str(config["seed"])]
    arguments += ["--store", str(places / f"stores/{config['dataset']}.h5")]
    arguments += ["--run-dir", str(places / f"runs/{run}")]
    overrides = format_overrides(overrides_of(config, places.preset))
    return f"cld train {shlex.join([*arguments, *overrides])}"


def _configuration(places: Places, scores: Mapping, expected: Mapping[str, Mapping]) -> dict[str, str]:
    """A cell's configuration but for the seed: of a run's own file, or as planned before that is there."""
    run = next(iter(scores or expected), None)
    file = places / f"runs/{run}/config.yaml"
    config = parse_yaml(file.read_text(encoding="utf-8")) if file.exists() else expected.get(run, {})
    return _written(flat({key: value for key, value in config.items() if key != "seed"}))


def _written(values: Mapping[str, object]) -> dict[str, str]:
    """Settings by key, as one would write them."""
    return dict(entry.split("=", 1) for entry in format_overrides(values))


def _provenance(scores: Iterable[Mapping]) -> list[dict]:
    """Where a cell's scores come from: each different value once."""
    origins = [score["provenance"] for score in scores]
    values = {
        "code": [code_version(origin["code"]) for origin in origins],
        "device": [origin["device"] for origin in origins],
        "threads": [origin["threads"] for origin in origins],
        "data (SHA-256)": [origin["data_checksum"] for origin in origins],
        "libraries": [
            ", ".join(f"{name} {version}" for name, version in origin["libraries"].items())
            for origin in origins
        ],
    }
    return [
        {"label": label, "values": different}
        for label, all_values in values.items()
        if (different := list(dict.fromkeys(str(value) for value in all_values if value is not None)))
    ]


def _total_cost(cells: Iterable[dict], runs: Mapping[str, dict]) -> dict:
    """What the numbers cost: each run's training and each score's evaluation once, in seconds."""
    scores = {(cell["protocol"], score["subject"]): score for cell in cells for score in cell["runs"]}
    trained = {score["run"] for score in scores.values()} - {None}
    return {
        "n_runs": len(trained),
        "train_s": sum((runs[run]["cost"] or {}).get("s", 0) for run in trained),
        "evaluate_s": sum((score["cost"] or {}).get("s", 0) for score in scores.values()),
    }


def _tally(versions: Iterable[str | None]) -> list[str]:
    """Code versions, the most frequent first."""
    return [version for version, _ in Counter(filter(None, versions)).most_common()]


def _day(date: str) -> str:
    """``2026-11-23T13:27:27+00:00`` as ``23 November 2026, 13:27 UTC``."""
    day = datetime.fromisoformat(date)
    return f"{day.day} {day:%B %Y}, {day:%H:%M} UTC"


def _figures(places: Places) -> list[dict]:
    """The supplement's figures, those missing too, then whatever else lies among the figures."""
    captions = read_yaml(CAPTIONS)
    found = sorted(path.stem for path in (places / "figures").glob("*.png"))
    return [
        _figure(places, name, captions.get(name, {"title": name.replace("_", " "), "caption": ""}))
        for name in dict.fromkeys([*captions, *found])
    ]


def _figure(places: Places, name: str, text: Mapping[str, str]) -> dict:
    picture = places / f"figures/{name}.png"
    return {
        "name": name,
        **text,
        "picture": embedded(picture) if picture.exists() else None,
        "files": places.links({kind: places / f"figures/{name}.{kind}" for kind in FIGURE_KINDS}),
        "command": places.build(f"figures/{name}.png"),
    }


def _datasets(places: Places, needed: Iterable[str]) -> list[dict]:
    """The cards of the stores that the tables need, then of the others that are there."""
    found = sorted(path.name.removesuffix(".card.md") for path in (places / "stores").glob("*.card.md"))
    return [_dataset(places, name) for name in dict.fromkeys([*needed, *found])]


def _dataset(places: Places, name: str) -> dict:
    card, picture = places / f"stores/{name}.card.md", places / f"stores/{name}.card.png"
    lines = card.read_text(encoding="utf-8").splitlines() if card.exists() else []
    files = {kind: places / f"stores/{name}.{kind}" for kind in ("card.md", "report.md", "manifest.csv")}
    return {
        "name": name,
        "is_generated": is_generated(places.preset, name),
        "facts": [line.removeprefix("- ").replace("`", "") for line in lines if line.startswith("- ")],
        "picture": embedded(picture) if picture.exists() else None,
        "files": places.links(files),
        "command": places.build(f"stores/{name}.card.md"),
    }
