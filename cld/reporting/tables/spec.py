"""Table files (``config/tables/*.yaml``): rows, columns, what each changes, so which runs a cell needs."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

from cld.config import (
    CONFIG,
    display_path,
    is_generated,
    is_left_out,
    load_run,
    read_yaml,
    seeds_of,
    validate,
)
from cld.evaluation.protocol_names import METRICS, STORE_PROTOCOLS
from cld.runtime.errors import InputError
from cld.training.run_id import run_id

#: The row under which a table's references have their cells.
REFERENCE_ROW = "reference"

#: Formats of tables.
TABLE_KINDS = ("csv", "md", "tex", "html", "png")

#: A cell's place: the keys of its row and its column.
Place = tuple[str, str]


def score_path(preset: str, subject: str, protocol: str) -> str:
    """The file of a run's or a store's score, relative to the results folder."""
    return f"{preset}/scores/{subject}/{protocol}.json"


@dataclass(frozen=True)
class Cell:
    """One number of a table: which runs, how they are scored, and what was published.

    ``overrides`` are dotted keys of ``config/run.yaml``; they and ``seeds`` are empty where it needs no run.
    ``published`` is in percent, ``None`` where the supplement prints nothing.
    """

    preset: str = field(repr=False)
    table: str
    row: str
    column: str
    dataset: str
    method: str
    protocol: str
    metric: str
    seeds: tuple[int, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    published: float | None = None

    @property
    def where(self) -> str:
        """The cell's place in its file, for messages."""
        return f"config/tables/{self.table}.yaml: cell {self.row}/{self.column}"

    @property
    def path(self) -> str:
        """The cell's file, relative to the results folder."""
        return f"{self.preset}/cells/{self.table}/{self.row}/{self.column}.json"

    @cached_property
    def runs(self) -> dict[str, dict]:
        """Resolved configurations of the runs it averages, by run id; empty if it needs no network."""
        if self.protocol in STORE_PROTOCOLS:
            return {}
        config = load_run(self.preset, self.dataset, self.method, self.seeds[0], self.overrides, self.where)
        configs = ({**config, "seed": seed} for seed in self.seeds)
        return {run_id(config): config for config in configs}

    @property
    def scores(self) -> list[str]:
        """The score files it averages, relative to the results folder."""
        return [score_path(self.preset, name, self.protocol) for name in self.runs or [self.dataset]]


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
    """A statement on a table's numbers: every contrast is above ``by``, or within ``within`` of zero.

    Both in percentage points; ``within`` is None where the claim is of the first kind.
    """

    text: str
    contrasts: tuple[Contrast, ...]
    by: float = 0.0
    within: float | None = None


@dataclass(frozen=True)
class Table:
    """A table file at a preset's scale; ``note`` says what that scale changed, where it did.

    A place of the grid that has no cell does not apply. ``best`` says among which cells the best number is
    sought: ``column``, ``row``, ``table`` (of a row group, where there are some) or ``none``.
    """

    preset: str = field(repr=False)
    name: str
    title: str
    caption: str
    row_header: str
    note: str
    best: str
    rows: list[Axis]
    columns: list[Axis]
    references: list[Axis]
    claims: list[Claim]
    cells: dict[Place, Cell] = field(repr=False)

    @property
    def is_generated(self) -> bool:
        """Whether it has numbers of generated data: a demo's."""
        return any(is_generated(self.preset, cell.dataset) for cell in self.cells.values())

    @property
    def has_published(self) -> bool:
        """Whether the supplement prints any of its numbers."""
        return any(cell.published is not None for cell in self.cells.values())

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


def load_table(name: str, preset: str) -> Table:
    """Read, validate and expand ``config/tables/<name>.yaml``.

    Rows, columns and references on data that the preset leaves out are not part of it.

    Raises:
        InputError: a key, row or column that does not exist or occurs twice, a protocol without the metric,
            or a claim that compares what cannot be compared.
    """
    path = CONFIG / "tables" / f"{name}.yaml"
    where = display_path(path)
    spec = read_yaml(path)
    validate(spec, "table", where)
    spec = _scaled(spec, preset)
    rows, columns, references = _rows(spec), spec["columns"], spec.get("references", [])
    _require_keys(spec, rows, where)
    dropped = set(spec.get("drop", []))
    rows = [row for row in rows if dropped.isdisjoint(row["names"])]
    columns = [column for column in columns if column["key"] not in dropped]
    if not rows or not columns:
        raise InputError(f"{where}: presets.{preset}.drop leaves no cell; drop fewer rows or columns")
    settings = {}
    for row in rows:
        for column in columns:
            key = f"{row['key']}/{column['key']}"
            if key not in spec.get("skip", []):
                own = {"set": spec.get("cells", {}).get(key, {})}
                settings[row["key"], column["key"]] = _merged(spec, row, column, own)
    settings |= {(REFERENCE_ROW, entry["key"]): _merged(spec, entry) for entry in references}
    cells = {place: _cell(preset, name, place, setting) for place, setting in settings.items()}
    shown = {place: cell for place, cell in cells.items() if not is_left_out(preset, cell.dataset)}
    if any(row != REFERENCE_ROW for row, _ in shown):
        cells = shown  # a table of nothing else stays as it is, for those who ask for it by its name
    grid = [place for place in cells if place[0] != REFERENCE_ROW]
    rows_shown, columns_shown = ({place[n] for place in grid} for n in (0, 1))
    return Table(
        preset=preset,
        name=name,
        title=spec["title"],
        caption=spec["caption"],
        row_header=spec.get("row_header", ""),
        note=spec.get("note", ""),
        best=spec.get("best", "column"),
        rows=[_axis(row) for row in rows if row["key"] in rows_shown],
        columns=[_axis(column) for column in columns if column["key"] in columns_shown],
        references=[_axis(entry) for entry in references if (REFERENCE_ROW, entry["key"]) in cells],
        claims=list(_claims(spec, cells, where)),
        cells=cells,
    )


class Tables(dict[str, Table]):
    """Every table by name. Asking for one whose file does not fit the preset raises the reason.

    Attributes:
        refused: by name, why a table is none: a store needs no table, nor a table another.
    """

    def __init__(self, preset: str):
        """Read all table files, and resolve their runs.

        Raises:
            InputError: none fits: the preset is at fault, or what all have in common.
        """
        super().__init__()
        self.refused: dict[str, InputError] = {}
        for name in table_names():
            try:
                table = load_table(name, preset)
                for cell in table.cells.values():
                    _ = cell.runs
            except InputError as error:
                self.refused[name] = error
            else:
                self[name] = table
        if self.refused and not self:
            raise next(iter(self.refused.values()))

    def __missing__(self, name: str) -> Table:
        raise self.refused.get(name) or InputError(
            f"{name}: no such table; those there are: {', '.join(self)}"
        )


def _merged(*layers: Mapping) -> dict:
    """Later layers over earlier ones; of ``set``, the single settings."""
    merged: dict = {"set": {}}
    for layer in layers:
        merged |= {**layer, "set": merged["set"] | layer.get("set", {})}
    return merged


def _scaled(spec: Mapping, preset: str) -> dict:
    """A table file with what a preset changes in it."""
    scale = spec.get("presets", {}).get(preset, {})
    scaled = _merged(spec, scale)
    for kind in {"row_groups", "rows", "columns"} & spec.keys():
        changes = scale.get(kind, {})
        scaled[kind] = [_merged(entry, changes.get(entry["key"], {})) for entry in spec[kind]]
    return scaled


def _rows(spec: Mapping) -> list[dict]:
    """Every row under each of its groups, with the settings of both, and ``names`` by which to drop it."""
    rows = []
    for group in spec.get("row_groups", [{"key": ""}]):
        for row in spec["rows"]:
            if group["key"] in row.get("groups", [group["key"]]):
                key = f"{group['key']}.{row['key']}".lstrip(".")
                names = [key, row["key"], group["key"]]
                label, of_group = row.get("label", row["key"]), group.get("label", "")
                own = {"key": key, "label": label, "group": of_group, "names": names}
                rows.append(_merged(group, row, own))
    return rows


def _axis(entry: Mapping) -> Axis:
    return Axis(entry["key"], entry.get("label", entry["key"]), entry.get("group", ""))


def _cell(preset: str, table: str, place: Place, setting: Mapping) -> Cell:
    """A cell by its place and all that is set for it.

    Raises:
        InputError: its protocol has no such metric.
    """
    asked = {key: setting[key] for key in ("dataset", "method", "protocol", "metric")}
    if asked["protocol"] not in STORE_PROTOCOLS:
        asked["seeds"] = tuple(setting.get("seeds") or seeds_of(preset, asked["dataset"]))
        asked["overrides"] = setting["set"]
    published = setting.get("published", {}).get(place[0], {}).get(place[1])
    cell = Cell(preset, table, *place, **asked, published=published)
    known = METRICS[cell.protocol]
    if cell.metric not in known:
        problem = f"protocol {cell.protocol} has no metric {cell.metric}; it has {', '.join(known)}"
        raise InputError(f"{cell.where}: {problem}")
    return cell


def _require_keys(spec: Mapping, rows: list[dict], where: str) -> None:
    """Refuse keys that occur twice, or that the grid has not; name the nearest that it has."""

    def require(section: str, keys: Iterable[str], valid: Sequence[str]) -> None:
        for key in keys:
            if key not in valid:
                near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
                fix = f"did you mean '{section}.{near[0]}'?" if near else f"valid keys: {', '.join(valid)}"
                raise InputError(f"{where}: unknown key '{section}.{key}'; {fix}")

    kinds = ("row_groups", "rows", "columns", "references")
    known = {kind: [entry["key"] for entry in spec.get(kind, [])] for kind in kinds}
    for kind, keys in known.items():
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise InputError(f"{where}: {kind}: key '{repeated[0]}' occurs twice; rename one of the two")
    grid = [f"{row['key']}/{column}" for row in rows for column in known["columns"]]
    published = [f"{row}/{column}" for row, values in spec.get("published", {}).items() for column in values]
    require("skip", spec.get("skip", []), grid)
    require("cells", spec.get("cells", {}), grid)
    require("published", published, grid)
    for row in spec["rows"]:
        require(f"rows.{row['key']}.groups", row.get("groups", []), known["row_groups"])
    droppable = [name for row in rows for name in row["names"]] + known["columns"]
    for preset, scale in spec.get("presets", {}).items():
        for kind, keys in known.items():
            require(f"presets.{preset}.{kind}", scale.get(kind, {}), keys)
        require(f"presets.{preset}.drop", scale.get("drop", []), droppable)
    references = [f"{REFERENCE_ROW}/{key}" for key in known["references"]]
    for n, claim in enumerate(spec.get("claims", [])):
        places = [place for contrast in _contrasts(claim) for place in contrast.places]
        require(f"claims.{n}", map("/".join, places), grid + references)


def _contrasts(claim: Mapping) -> list[Contrast]:
    """What a claim of a table file compares."""
    if "gap" in claim:
        (a, b), (c, d) = (map(_place, claim[side]) for side in ("gap", "exceeds"))
        return [Contrast((a, d), (b, c))]
    pairs: Iterable[tuple[Place, Place]]
    if "alike" in claim:
        pairs = combinations(map(_place, claim["alike"]), 2)
    else:
        others = [claim["than"]] if isinstance(claim["than"], str) else claim["than"]
        pairs = ((_place(claim["better"]), _place(other)) for other in others)
    return [Contrast((one,), (other,)) for one, other in pairs]


def _place(key: str) -> Place:
    row, column = key.split("/")
    return row, column


def _claims(spec: Mapping, cells: Mapping[Place, Cell], where: str) -> Iterator[Claim]:
    """The claims, of the cells that the preset shows: a claim without any left is left out.

    Raises:
        InputError: cells of different datasets, protocols or metrics are compared.
    """
    for claim in spec.get("claims", []):
        contrasts = tuple(one for one in _contrasts(claim) if cells.keys() >= set(one.places))
        for contrast in contrasts:
            of_places = [cells[place] for place in contrast.places]
            if len({(cell.dataset, cell.protocol, cell.metric) for cell in of_places}) > 1:
                named = ", ".join(map("/".join, contrast.places))
                raise InputError(
                    f"{where}: the claim '{claim['text']}' compares {named}, which differ in dataset, "
                    "protocol or metric; compare like with like"
                )
        if contrasts:
            yield Claim(claim["text"], contrasts, claim.get("by", 0.0), claim.get("within"))
