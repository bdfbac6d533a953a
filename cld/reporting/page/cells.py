"""What the index page shows of a table's cell: its number, its runs, and where they come from."""

import math
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from cld.config import flat, format_overrides, is_generated, read_yaml
from cld.evaluation.protocol_names import STORE_PROTOCOLS
from cld.reporting.style import evenly_spaced
from cld.reporting.tables.render import METRICS, code_version, percent
from cld.reporting.tables.spec import REFERENCE_ROW, Axis, Cell, Table
from cld.reporting.times import job_seconds
from cld.training.run_folder import NOT_CURVES, log_rows, stage
from cld.training.run_id import overrides_of

#: Points of a curve at most: more than a small chart can show apart.
MAX_POINTS = 80
#: How every command of the page starts; on a cluster ``--profile slurm`` replaces ``--cores 2``.
SNAKEMAKE = "snakemake --cores 2"


class PresetFiles:
    """Where the files of a preset are, and how the page and its commands name them.

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
        """Links to those of the files that exist, by their labels."""
        return [
            {"label": label, "href": quote(os.path.relpath(path.absolute(), self._start))}
            for label, path in paths.items()
            if path.exists()
        ]

    def build(self, path: str) -> str:
        """The command that builds a file of the preset's folder."""
        return f"{SNAKEMAKE} {shlex.quote(str(self / path))}"

    def rebuild(self, rule: str, path: str) -> str:
        """The command that builds a file after running again those jobs of ``rule`` that it needs."""
        return f"{SNAKEMAKE} --forcerun {rule} -- {shlex.quote(str(self / path))}"


def cell_content(
    files: PresetFiles, table: Table, cell: Cell, built: Mapping | None, runs: dict[str, dict]
) -> dict:
    """A cell of the page, whether it is ``built`` or not; adds its runs to ``runs``."""
    preset = files.preset
    expected = cell.runs
    file = files.results / cell.path
    path = cell.path.removeprefix(f"{preset}/")
    scores = {score["run"] or cell.dataset: score for score in built["scores"]} if built else {}
    is_outdated = bool(scores) and set(scores) != set(expected or [cell.dataset])
    for run in dict.fromkeys([*expected, *scores]):
        if cell.protocol not in STORE_PROTOCOLS and run not in runs:
            runs[run] = _run(files, run, expected.get(run))
    wanted = scores if is_outdated else dict.fromkeys(expected or [cell.dataset])
    rows = [_score(files, cell, subject, scores.get(subject), expected.get(subject)) for subject in wanted]
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
        "build": files.build(path),
        "rebuild": files.rebuild("pretrain" if expected else "evaluate_store", path),
        "overrides": _written(cell.overrides) if expected else {},
        "configuration": _configuration(files, scores, expected),
        "settings": _written(flat(built["settings"])) if built else {},
        "runs": rows,
        "provenance": _provenance(scores.values()),
        "files": files.links({"cell": file}),
    }


def _labels(table: Table, cell: Cell) -> tuple[str, str]:
    """What the table prints at a cell's row and at its column."""

    def label(axis: Iterable[Axis], key: str) -> str:
        entry = next(entry for entry in axis if entry.key == key)
        return f"{entry.group}, {entry.label}" if entry.group else entry.label

    if cell.row == REFERENCE_ROW:
        return "for comparison", label(table.references, cell.column)
    return label(table.rows, cell.row), label(table.columns, cell.column)


def _score(
    files: PresetFiles, cell: Cell, subject: str, score: Mapping | None, config: Mapping | None
) -> dict:
    """One of the scores that a cell averages: of a run, or of a store alone."""
    folder, file = files / f"runs/{subject}", files / f"scores/{subject}/{cell.protocol}.json"
    seconds = job_seconds(files / f"benchmarks/evaluate/{subject}.{cell.protocol}.tsv")
    if seconds is None and score:
        seconds = score["provenance"].get("wall_time_s")
    seed = score["seed"] if score else config["seed"] if config else None
    return {
        "subject": subject,
        "run": subject if cell.protocol not in STORE_PROTOCOLS else None,
        "seed": seed,
        "value": score["value"] if score else None,
        "stage": "scored" if file.exists() else stage(folder),
        "date": score["provenance"]["date"] if score else None,
        "version": code_version(score["provenance"]["code"]) if score else None,
        "seconds": seconds,
        "files": files.links({"score": file}),
    }


def _run(files: PresetFiles, run: str, config: Mapping | None) -> dict:
    """What the page shows of a run in any cell; ``config`` is None for one that no table asks for now."""
    folder = files / f"runs/{run}"
    paths = {
        "configuration": folder / "config.yaml",
        "curves": folder / "log.csv",
        "checkpoint": folder / "checkpoint.pt",
        "log": files / f"logs/pretrain/{run}.log",
    }
    return {
        "curves": curves(folder / "log.csv"),
        "seconds": job_seconds(files / f"benchmarks/pretrain/{run}.tsv"),
        "command": _by_hand(files, run, config) if config else None,
        "files": files.links(paths),
    }


def _by_hand(files: PresetFiles, run: str, config: Mapping) -> str:
    """The command that trains a run without Snakemake."""
    arguments = ["--preset", files.preset, "--dataset", config["dataset"], "--method", config["method"]]
    arguments += ["--seed", str(config["seed"])]
    arguments += ["--store", str(files / f"stores/{config['dataset']}.h5")]
    arguments += ["--run-dir", str(files / f"runs/{run}")]
    overrides = format_overrides(overrides_of(config, files.preset))
    return f"cld train {shlex.join([*arguments, *overrides])}"


def _configuration(files: PresetFiles, scores: Mapping, expected: Mapping[str, Mapping]) -> dict[str, str]:
    """A cell's configuration but for the seed: of a run's own file, or as planned before that exists."""
    run = next(iter(scores or expected), None)
    file = files / f"runs/{run}/config.yaml"
    config = read_yaml(file) if file.exists() else expected.get(run, {})
    return _written(flat({key: value for key, value in config.items() if key != "seed"}))


def _written(values: Mapping[str, object]) -> dict[str, str]:
    """Settings by key, as on a command line."""
    return dict(entry.split("=", 1) for entry in format_overrides(values))


def _provenance(scores: Iterable[Mapping]) -> list[dict]:
    """Where a cell's scores come from: each different value once."""
    origins = [score["provenance"] for score in scores]
    values = {
        "code": [code_version(origin["code"]) for origin in origins],
        "device": [origin["device"] for origin in origins],
        "trained in": [(origin["trained_by"] or {}).get("precision") for origin in origins],
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


def curves(log: Path) -> dict[str, list]:
    """A run's log by column, thinned to :data:`MAX_POINTS` epochs; empty where there is no log.

    Returns:
        ``epoch`` and the columns that are curves; None stands for what was not logged or is not finite.
    """
    rows = log_rows(log)
    kept = [rows[i] for i in evenly_spaced(len(rows), MAX_POINTS)]
    names = ["epoch", *(name for name in (rows[0] if rows else {}) if name not in NOT_CURVES)]
    shown = {name: [_short_number(row.get(name)) for row in kept] for name in names}
    return {name: values for name, values in shown.items() if any(value is not None for value in values)}


def _short_number(text: str | None) -> float | None:
    """A number to five digits; None for what is none, or is not finite."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return float(f"{value:.5g}") if math.isfinite(value) else None
