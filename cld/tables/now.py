"""All tables from the scores that are there, while others are still at work: ``python -m cld.tables.now``."""

import argparse
import sys
from pathlib import Path

from cld.config import load_preset
from cld.errors import run_command
from cld.progress import progress
from cld.tables.render import FOLDER_NOW, KINDS, cells_at_hand, write
from cld.tables.spec import load_table, table_names


def main() -> None:
    """Render every table from the scores that are there, with gaps marked; tables with none are left out."""
    parser = argparse.ArgumentParser(prog="python -m cld.tables.now", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--results", default="results", help="the results folder")
    args = parser.parse_args()
    load_preset(args.preset)
    folder, names, lines = Path(args.results) / args.preset / FOLDER_NOW, table_names(), []
    with progress("render", len(names), "tables") as bar:
        for name in names:
            table = load_table(name, args.preset)
            cells = cells_at_hand(table, args.preset, args.results)
            if cells:
                write(table, cells, args.preset, args.results, FOLDER_NOW)
            else:  # what an earlier call wrote is of scores that are gone
                for kind in KINDS:
                    (folder / f"{name}.{kind}").unlink(missing_ok=True)
            lines.append(f"{name}: {len(cells)} of {len(table.cells)} cells")
            bar.advance()
    sys.stdout.write("\n".join([*lines, f"in {folder}"]) + "\n")


if __name__ == "__main__":
    run_command(main)
