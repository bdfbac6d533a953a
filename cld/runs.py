"""The runs that a preset asks for, by id: each stands once, however many cells and evaluations share it."""

from collections.abc import Iterable

from cld.config import load_preset, load_run, run_id
from cld.tables.spec import Table


def runs_of_tables(tables: Iterable[Table], preset: str) -> dict[str, dict]:
    """Resolved configurations of the runs that tables' cells average."""
    return {
        run: resolved
        for table in tables
        for cell in table.cells.values()
        for run, resolved in cell.runs(preset).items()
    }


def runs_of_evaluations(preset: str) -> dict[str, dict]:
    """Those that ``all_evaluations`` scores by every protocol: some methods, each alone and with CLD."""
    scale = load_preset(preset)
    wanted, seed = scale["all_evaluations"], scale["seeds"][0]
    where = f"config/presets/{preset}.yaml"
    resolved = [
        load_run(preset, wanted["dataset"], method, seed, overrides, where)
        for method in wanted["methods"]
        for overrides in ({"cld.weight": 0}, {})
    ]
    return {run_id(run): run for run in resolved}
