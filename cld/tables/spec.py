"""Table files (``config/tables/*.yaml``): rows, columns, what each changes, so which runs a cell needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cld.config import CONFIG, load_preset, load_run, read_yaml, run_id, shown, unknown_key, validate
from cld.errors import InputError

#: Protocols that score a store alone, with no network.
STORE_PROTOCOLS = ("pixel_knn", "chance")
#: The row under which a table's references have their cells.
REFERENCE_ROW = "reference"


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
        configs = (
            load_run(preset, self.dataset, self.method, seed, self.overrides, self.where)
            for seed in self.seeds
        )
        return {run_id(config): config for config in configs}

    def scores(self, preset: str) -> list[str]:
        """The score files it averages, relative to the results folder."""
        subjects = self.runs(preset) or [self.dataset]
        return [f"{preset}/scores/{subject}/{self.protocol}.json" for subject in subjects]


@dataclass(frozen=True)
class Axis:
    """A row, a column or a reference: its key in paths and its label in print."""

    key: str
    label: str


@dataclass(frozen=True)
class Table:
    """A table file at a preset's scale; ``note`` says what that scale changed, where it did."""

    name: str
    title: str
    caption: str
    metric: str
    dataset: str
    row_header: str
    note: str
    rows: list[Axis]
    columns: list[Axis]
    references: list[Axis]
    cells: dict[tuple[str, str], Cell] = field(repr=False)

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

    Raises:
        InputError: a key, row or column that does not exist or stands twice.
    """
    path = CONFIG / "tables" / f"{name}.yaml"
    spec = read_yaml(path)
    validate(spec, "table", shown(path))
    scale = spec.get("presets", {}).get(preset, {})
    _refuse_unknown_scaling(spec, shown(path))
    rows, columns, references = spec["rows"], spec["columns"], spec.get("references", [])
    for kind, axis in (("row", rows), ("column", columns), ("reference", references)):
        _refuse_repeats(kind, [entry["key"] for entry in axis], shown(path))
    grid = {(row["key"], column["key"]): (row, column) for row in rows for column in columns}
    extra, published = spec.get("cells", {}), spec.get("published", {})
    for key in extra:
        if tuple(key.split("/")) not in grid:
            raise unknown_key(f"cells.{key}", map("/".join, grid), shown(path))
    for row, values in published.items():
        for column in values:
            if (row, column) not in grid:
                raise unknown_key(f"published.{row}/{column}", map("/".join, grid), shown(path))

    scaled_rows = scale.get("rows", {})

    def cell(row: str, column: str, layers: list[dict], **own: object) -> Cell:
        setting = {key: spec[key] for key in ("dataset", "method", "protocol")}
        overrides = spec.get("set", {}) | scale.get("set", {})
        for layer in layers:
            setting |= {key: layer[key] for key in setting if key in layer}
            overrides |= layer.get("set", {})
        seeds = tuple(spec.get("seeds") or load_preset(preset)["seeds"])
        return Cell(
            name, row, column, metric=spec["metric"], seeds=seeds, overrides=overrides, **setting, **own
        )

    cells = {
        (row, column): cell(
            row,
            column,
            [*layers, scaled_rows.get(row, {}), {"set": extra.get(f"{row}/{column}", {})}],
            published=published.get(row, {}).get(column),
        )
        for (row, column), layers in grid.items()
    }
    cells |= {
        (REFERENCE_ROW, entry["key"]): cell(REFERENCE_ROW, entry["key"], [entry]) for entry in references
    }
    return Table(
        name=name,
        title=spec["title"],
        caption=spec["caption"],
        metric=spec["metric"],
        dataset=spec["dataset"],
        row_header=spec.get("row_header", ""),
        note=scale.get("note", ""),
        rows=_axis([row | scaled_rows.get(row["key"], {}) for row in rows]),
        columns=_axis(columns),
        references=_axis(references),
        cells=cells,
    )


def _axis(entries: list[dict]) -> list[Axis]:
    return [Axis(entry["key"], entry.get("label", entry["key"])) for entry in entries]


def _refuse_unknown_scaling(spec: dict, where: str) -> None:
    keys = [row["key"] for row in spec["rows"]]
    for preset, scale in spec.get("presets", {}).items():
        for key in scale.get("rows", {}):
            if key not in keys:
                raise unknown_key(f"presets.{preset}.rows.{key}", keys, where)


def _refuse_repeats(kind: str, keys: list[str], where: str) -> None:
    repeated = next((key for key in keys if keys.count(key) > 1), None)
    if repeated is not None:
        raise InputError(f"{where}: {kind} '{repeated}' stands twice; give each {kind} a key of its own")
    if kind == "row" and REFERENCE_ROW in keys:
        raise InputError(f"{where}: row key '{REFERENCE_ROW}' is taken by the references; choose another")
