"""Which runs and scores a preset's tables need: each run once, however many cells share it."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cld.config import is_available, load_config, load_preset, load_run, seeds_of
from cld.evaluation.protocol_names import RUN_PROTOCOLS, SEMISUP_PERCENT, STORE_PROTOCOLS
from cld.reporting.tables.spec import Table, Tables, load_table, score_path
from cld.runtime.errors import InputError
from cld.training.run_id import run_id

#: The tables that the supplement prints.
SUPPLEMENT = ("table_a1", "table_a2", "table_a3", "table_a4")
#: The table whose runs or numbers a figure shows.
TABLE_OF_FIGURE = {"fig_a2": "table_negatives", "fig_a3": "table_a3", "fig_choice": "table_a3"}


@dataclass(frozen=True)
class Needed:
    """Runs and scores.

    Attributes:
        runs: resolved configurations, by id.
        serves: the cells, as ``table/row/column``, of each run that a table needs.
        scores: files, relative to the results folder.
    """

    runs: dict[str, dict] = field(default_factory=dict)
    serves: dict[str, list[str]] = field(default_factory=dict)
    scores: list[str] = field(default_factory=list)


def needed_runs(tables: Iterable[Table], preset: str, with_evaluations: bool) -> Needed:
    """The runs and scores of tables' cells and, ``with_evaluations``, of the target ``all_evaluations``."""
    found = Needed()
    scores: list[str] = []
    for table in tables:
        for (row, column), cell in table.cells.items():
            found.runs.update(cell.runs)
            for run in cell.runs:
                found.serves.setdefault(run, []).append(f"{table.name}/{row}/{column}")
            scores += cell.scores
    if with_evaluations and not evaluations_refused(preset):
        found.runs.update(runs_of_evaluations(preset))
        scores += scores_of_evaluations(preset)
    found.scores.extend(dict.fromkeys(scores))
    return found


def available_tables(tables: Iterable[Table], paths: Mapping[str, str]) -> list[Table]:
    """The tables whose datasets are all available, see :func:`cld.config.is_available`."""
    return [
        table
        for table in tables
        if all(is_available(table.preset, cell.dataset, paths) for cell in table.cells.values())
    ]


def requested_tables(names: Sequence[str] | None, preset: str) -> list[Table]:
    """The tables of these names; without any, all that fit the preset and whose datasets are available.

    Raises:
        InputError: there is no such table or preset.
    """
    load_preset(preset)
    if names:
        return [load_table(name, preset) for name in names]
    tables = Tables(preset)
    for name, error in tables.refused.items():
        print(f"{name} is left out: {error}", file=sys.stderr)
    return available_tables(tables.values(), load_config()["data"]["paths"])


def evaluations_refused(preset: str) -> InputError | None:
    """Why the runs of ``all_evaluations`` do not fit a preset; None where they do."""
    try:
        runs_of_evaluations(preset)
    except InputError as error:
        return error
    return None


def runs_of_evaluations(preset: str) -> dict[str, dict]:
    """The runs that ``all_evaluations`` scores by every protocol: some methods, each alone and with CLD."""
    wanted = load_preset(preset)["all_evaluations"]
    seed = seeds_of(preset, wanted["dataset"])[0]
    where = f"config/presets/{preset}.yaml"
    resolved = [
        load_run(preset, wanted["dataset"], method, seed, overrides, where)
        for method in wanted["methods"]
        for overrides in ({"cld.weight": 0}, {})
    ]
    return {run_id(run): run for run in resolved}


def scores_of_evaluations(preset: str) -> list[str]:
    """The scores that ``all_evaluations`` makes: of its runs and of their store, by every protocol."""
    wanted = load_preset(preset)["all_evaluations"]
    protocols = [*RUN_PROTOCOLS, *(f"semisup_{percent}" for percent in SEMISUP_PERCENT)]
    protocols += [f"detection_{name}" for name in wanted["detection"]]
    of_runs = [
        score_path(preset, run, protocol) for run in runs_of_evaluations(preset) for protocol in protocols
    ]
    return of_runs + [score_path(preset, wanted["dataset"], protocol) for protocol in STORE_PROTOCOLS]
