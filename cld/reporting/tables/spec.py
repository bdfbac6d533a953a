"""Table files (``config/tables/*.yaml``): rows, columns, what each changes, so which runs a cell needs."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cld.config import CONFIG, display_path, load_preset, load_run, read_yaml, validate
from cld.evaluation.protocol_names import METRICS, STORE_PROTOCOLS
from cld.run_id import run_id
from cld.runtime.errors import InputError

#: The row under which a table's references have their cells.
REFERENCE_ROW = "reference"

#: A cell's place: the keys of its row and its column.
Place = tuple[str, str]


def score_path(preset: str, subject: str, protocol: str) -> str:
    """The file of a run's or a store's score, relative to the results folder."""
    return f"{preset}/scores/{subject}/{protocol}.json"


@dataclass(frozen=True)
class Cell:
    """One number of a table: which runs, how they are scored, and what was published.

    ``overrides`` are dotted keys of ``config/run.yaml``; ``published`` is in percent, ``None`` where the
    supplement prints nothing.
    """

    table: str
    row: str
    column: str
    dataset: str
    method: str
    protocol: str
    metric: str
    seeds: tuple[int, ...]
    overrides: Mapping[str, object]
    published: float | None = None

    @property
    def where(self) -> str:
        """The cell's place in its file, for messages."""
        return f"config/tables/{self.table}.yaml: cell {self.row}/{self.column}"

    def path(self, preset: str) -> str:
        """The cell's file, relative to the results folder."""
        return f"{preset}/cells/{self.table}/{self.row}/{self.column}.json"

    def runs(self, preset: str) -> dict[str, dict]:
        """Resolved configurations of the runs it averages, by run id; empty if it needs no network."""
        if self.protocol in STORE_PROTOCOLS:
            return {}
        config = load_run(preset, self.dataset, self.method, self.seeds[0], self.overrides, self.where)
        configs = ({**config, "seed": seed} for seed in self.seeds)
        return {run_id(config): config for config in configs}

    def scores(self, preset: str) -> list[str]:
        """The score files it averages, relative to the results folder."""
        return [score_path(preset, name, self.protocol) for name in self.runs(preset) or [self.dataset]]


@dataclass(frozen=True)
class Axis:
    """A row, a column or a reference: its key in paths and its label in print.

    ``group`` is the label of a row's group; rows of one group follow each other.
    """

    key: str
    label: str
    group: str = ""


@dataclass(frozen=True)
class Contrast:
    """Cells whose numbers are added up (``plus``), less those of others (``minus``)."""

    plus: tuple[Place, ...]
    minus: tuple[Place, ...]

    @property
    def places(self) -> tuple[Place, ...]:
        """All of its cells."""
        return self.plus + self.minus


@dataclass(frozen=True)
class Claim:
    """What is said of a table's numbers: that every contrast is above ``by``, or within ``within`` of zero.

    Both in percentage points; ``within`` is None where the claim is of the first kind.
    """

    text: str
    contrasts: tuple[Contrast, ...]
    by: float = 0.0
    within: float | None = None


@dataclass(frozen=True)
class Table:
    """A table file at a preset's scale; ``note`` says what that scale changed, where it did.

    ``metric`` and ``dataset`` are the defaults of its cells. A place of the grid that has no cell does not
    apply. ``best`` says among which cells the best number is sought: ``column``, ``row``, ``table`` (of a
    row group, where there are some) or ``none``.
    """

    name: str
    title: str
    caption: str
    metric: str
    dataset: str
    row_header: str
    note: str
    best: str
    rows: list[Axis]
    columns: list[Axis]
    references: list[Axis]
    claims: list[Claim]
    cells: dict[Place, Cell] = field(repr=False)

    def cell(self, row: str, column: str) -> Cell:
        """The cell at a row and column key.

        Raises:
            InputError: the table has no such cell; names those it has.
        """
        if (row, column) not in self.cells:
            known = ", ".join("/".join(key) for key in self.cells)
            raise InputError(f"config/tables/{self.name}.yaml: no cell {row}/{column}; it has {known}")
        return self.cells[row, column]


def table_names() -> list[str]:
    """The tables that have a file."""
    return sorted(path.stem for path in (CONFIG / "tables").glob("table_*.yaml"))


def require_tables(names: Iterable[str]) -> None:
    """Refuse tables that have no file, named on a command line.

    Raises:
        InputError: names the first, and those that exist.
    """
    for name in names:
        if name not in table_names():
            raise InputError(
                f"--tables {name}: there is no such file; tables that exist: {', '.join(table_names())}"
            )


def load_table(name: str, preset: str) -> Table:
    """Read, validate and expand ``config/tables/<name>.yaml``.

    Raises:
        InputError: a key, row or column that does not exist or stands twice, a protocol without the metric,
            or a claim that compares what cannot be compared.
    """
    path = CONFIG / "tables" / f"{name}.yaml"
    where = display_path(path)
    spec = read_yaml(path)
    validate(spec, "table", where)
    scale = spec.get("presets", {}).get(preset, {})
    columns, references = spec["columns"], spec.get("references", [])
    _refuse_repeats(spec, where)
    rows = _expanded_rows(spec, where)
    _refuse_unknown_scaling(spec, rows, where)
    grid = {(row["key"], column["key"]): (row, column) for row in rows.values() for column in columns}
    extra, published = spec.get("cells", {}), spec.get("published", {})
    claims = [
        _claim(entry, grid, f"{where}: claim {number}")
        for number, entry in enumerate(spec.get("claims", []), start=1)
    ]
    skipped = {_place(key, grid, "skip", where) for key in spec.get("skip", [])}
    for key in extra:
        _place(key, grid, "cells", where)
    for row, values in published.items():
        for column in values:
            _place(f"{row}/{column}", grid, "published", where)

    dropped = set(scale.get("drop", []))
    rows = {key: row for key, row in rows.items() if not dropped & {key, row["row"], row["row_group"]}}
    columns = [column for column in columns if column["key"] not in dropped]
    if not rows or not columns:
        raise InputError(f"{where}: presets.{preset}.drop leaves no cell; drop fewer rows or columns")
    seeds = tuple(scale.get("seeds") or spec.get("seeds") or load_preset(preset)["seeds"])

    def cell(row: str, column: str, layers: list[Mapping], **own: object) -> Cell:
        setting = {key: spec[key] for key in ("dataset", "method", "protocol", "metric")}
        overrides: dict = {}
        for layer in (spec, scale, *layers):
            setting |= {key: layer[key] for key in setting if key in layer}
            overrides |= layer.get("set", {})
        if setting["protocol"] in STORE_PROTOCOLS:  # nothing of a run's plays a part
            made = Cell(name, row, column, seeds=(), overrides={}, **setting, **own)
        else:
            made = Cell(name, row, column, seeds=seeds, overrides=overrides, **setting, **own)
        if made.metric not in METRICS[made.protocol]:
            measures = ", ".join(METRICS[made.protocol])
            raise InputError(
                f"{made.where}: protocol {made.protocol} has no metric {made.metric}; it has {measures}"
            )
        return made

    def scaled(kind: str, key: str) -> Mapping:
        return scale.get(kind, {}).get(key, {})

    cells = {
        (row["key"], column["key"]): cell(
            row["key"],
            column["key"],
            [
                row["group_layer"],
                scaled("row_groups", row["row_group"]),
                row,
                scaled("rows", row["row"]),
                column,
                scaled("columns", column["key"]),
                {"set": extra.get(f"{row['key']}/{column['key']}", {})},
            ],
            published=published.get(row["key"], {}).get(column["key"]),
        )
        for row in rows.values()
        for column in columns
        if (row["key"], column["key"]) not in skipped
    }
    cells |= {
        (REFERENCE_ROW, entry["key"]): cell(REFERENCE_ROW, entry["key"], [entry]) for entry in references
    }
    claims = [kept for claim in claims if (kept := _at_hand(claim, cells))]
    for claim in claims:
        _refuse_unlike(claim, cells, where)
    return Table(
        name=name,
        title=spec["title"],
        caption=spec["caption"],
        metric=spec["metric"],
        dataset=spec["dataset"],
        row_header=spec.get("row_header", ""),
        note=scale.get("note", ""),
        best=spec.get("best", "column"),
        rows=[
            _axis(row | scaled("rows", row["row"]), scaled("row_groups", row["row_group"]))
            for row in rows.values()
        ],
        columns=[_axis(column | scaled("columns", column["key"])) for column in columns],
        references=[_axis(reference) for reference in references],
        claims=claims,
        cells=cells,
    )


def _axis(entry: Mapping, group: Mapping | None = None) -> Axis:
    group = {**entry.get("group_layer", {}), **(group or {})}
    return Axis(entry["key"], entry.get("label", entry.get("row", entry["key"])), group.get("label", ""))


def _expanded_rows(spec: Mapping, where: str) -> dict[str, dict]:
    """Every row of the grid by its key; ``row`` and ``row_group`` are the keys that made it."""
    groups = {group["key"]: group for group in spec.get("row_groups", [])}
    rows = {}
    for key, group in (groups or {"": {}}).items():
        for row in spec["rows"]:
            for wanted in row.get("groups", []):
                if wanted not in groups:
                    raise _unknown(f"rows.{row['key']}.groups", wanted, groups, where)
            if key in row.get("groups", [key]):
                full = f"{key}.{row['key']}" if key else row["key"]
                rows[full] = {**row, "key": full, "row": row["key"], "row_group": key, "group_layer": group}
    return rows


def _place(key: str, grid: Mapping[Place, object], section: str, where: str) -> Place:
    """A cell's keys from ``row/column``.

    Raises:
        InputError: there is no such cell; names the nearest.
    """
    place = tuple(key.split("/"))
    if place not in grid:
        raise _unknown(section, key, map("/".join, grid), where)
    return place


def _unknown(section: str, key: str, known: Iterable[str], where: str) -> InputError:
    """The error for a key that does not exist, with the nearest one that does; keys may hold points."""
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    fix = f"did you mean '{section}.{near[0]}'?" if near else f"valid keys: {', '.join(known)}"
    return InputError(f"{where}: unknown key '{section}.{key}'; {fix}")


def _claim(entry: Mapping, grid: Mapping[Place, object], where: str) -> Claim:
    """A claim's contrasts, each with cells that the grid has."""

    def place(key: str) -> Place:
        return _place(key, grid, "claims", where)

    kinds = [kind for kind in ("better", "gap", "alike") if kind in entry]
    if len(kinds) != 1:
        raise InputError(
            f"{where} ('{entry['text']}') is no one claim; give better and than, gap and exceeds, or alike "
            "and within"
        )
    if kinds == ["better"]:
        others = [entry["than"]] if isinstance(entry["than"], str) else entry["than"]
        contrasts = [Contrast((place(entry["better"]),), (place(other),)) for other in others]
    elif kinds == ["gap"]:
        (a, b), (c, d) = map(place, entry["gap"]), map(place, entry["exceeds"])
        contrasts = [Contrast((a, d), (b, c))]
    else:
        alike = [place(key) for key in entry["alike"]]
        contrasts = [Contrast((one,), (other,)) for n, one in enumerate(alike) for other in alike[n + 1 :]]
    return Claim(entry["text"], tuple(contrasts), entry.get("by", 0.0), entry.get("within"))


def _at_hand(claim: Claim, cells: Mapping[Place, Cell]) -> Claim | None:
    """The claim of the cells that the preset shows; None where too few are."""
    kept = tuple(contrast for contrast in claim.contrasts if all(place in cells for place in contrast.places))
    return Claim(claim.text, kept, claim.by, claim.within) if kept else None


def _refuse_unlike(claim: Claim, cells: Mapping[Place, Cell], where: str) -> None:
    for contrast in claim.contrasts:
        scored = {
            (cells[place].dataset, cells[place].protocol, cells[place].metric) for place in contrast.places
        }
        if len(scored) > 1:
            named = ", ".join("/".join(place) for place in contrast.places)
            raise InputError(
                f"{where}: the claim '{claim.text}' compares {named}, which differ in dataset, protocol or "
                "metric; compare like with like"
            )


def _refuse_unknown_scaling(spec: Mapping, rows: Mapping[str, Mapping], where: str) -> None:
    keys = {
        kind: [entry["key"] for entry in spec.get(kind, [])] for kind in ("row_groups", "rows", "columns")
    }
    for preset, scale in spec.get("presets", {}).items():
        for kind, known in keys.items():
            for key in scale.get(kind, {}):
                if key not in known:
                    raise _unknown(f"presets.{preset}.{kind}", key, known, where)
        known = [*rows, *(key for some in keys.values() for key in some)]
        for key in scale.get("drop", []):
            if key not in known:
                raise _unknown(f"presets.{preset}.drop", key, known, where)


def _refuse_repeats(spec: Mapping, where: str) -> None:
    axes = {"row group": "row_groups", "row": "rows", "column": "columns", "reference": "references"}
    for kind, section in axes.items():
        keys = [entry["key"] for entry in spec.get(section, [])]
        repeated = next((key for key in keys if keys.count(key) > 1), None)
        if repeated is not None:
            raise InputError(f"{where}: {kind} '{repeated}' stands twice; give each {kind} a key of its own")
        if kind == "row" and REFERENCE_ROW in keys:
            raise InputError(f"{where}: row key '{REFERENCE_ROW}' is taken by the references; choose another")
