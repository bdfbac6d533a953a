"""Figure A.2: NMI, retrieval and kNN accuracy of MoCo over the number of negatives, from a table's CSV."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cld.reporting.style import (
    add_output_arguments,
    caption,
    dataset_name,
    draw_panel,
    panels_figure,
    save_outputs,
)
from cld.reporting.tables.spec import load_table
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError

TABLE = "table_negatives"
#: Columns of the table, what they are called, colour and marker.
SCORES = {
    "nmi": ("NMI", "#0072b2", "o"),
    "retrieval": ("retrieval, top-1", "#d55e00", "s"),
    "knn": ("kNN, top-1", "#009e73", "^"),
}


def queue_sizes(preset: str) -> dict[str, int]:
    """The number of negatives that each row of the table has at a preset's scale."""
    cells = load_table(TABLE, preset).cells
    return {row: int(cell.overrides["queue.size"]) for (row, _), cell in cells.items()}


def draw(table: pd.DataFrame, heading: str) -> Figure:
    """The figure: a panel for each score, with its deviation over seeds and its best number of negatives.

    Args:
        table: tidy, with ``negatives``, ``column``, ``value`` and ``std``, in percent.
    """
    band = " Band: standard deviation over seeds." if table["std"].notna().any() else ""
    note = f"k: 1,024. Ring: the best number of negatives by each score.{band}"
    figure, axes = panels_figure(len(SCORES), heading, note)
    for axis, (column, (name, colour, marker)) in zip(axes, SCORES.items(), strict=True):
        rows = table[table["column"] == column].sort_values("negatives")
        places = np.log2(rows["negatives"].to_numpy())
        draw_panel(axis, places, rows["value"].to_numpy(), rows["std"].to_numpy(), colour, marker)
        axis.set_xticks(places, [f"{n // 1024}k" if n % 1024 == 0 else f"{n}" for n in rows["negatives"]])
        axis.set_title(name, color=colour, pad=5)
        axis.set_xlabel("negatives (size of the queue)")
    return figure


def main() -> None:
    """Draw Figure A.2 from the table of negatives."""
    parser = ArgumentParser(prog="cld figure-a2", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--table", required=True, help="CSV of the table of negatives")
    add_output_arguments(parser)
    args = parser.parse_args()
    table = pd.read_csv(args.table, dtype={"row": str})
    table = table[table["column"].isin(list(SCORES)) & table["value"].notna()]
    missing = [name for name in SCORES if name not in set(table["column"])]
    if missing:
        raise InputError(
            f"{args.table}: no number in the columns {', '.join(missing)}; build the table first"
        )
    table = table.assign(negatives=table["row"].map(queue_sizes(args.preset)))
    dataset = table["dataset"].iloc[0]
    title = f"Figure A.2: MoCo with queues of several sizes on {dataset_name(dataset)}"
    kept = table[["negatives", "column", "value", "std", "n_seeds", "preset", "dataset"]]
    save_outputs(args, draw(table, caption(title, args.preset, dataset)), kept)
