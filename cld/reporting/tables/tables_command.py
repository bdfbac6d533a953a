"""Render tables: from their cells, or with ``--now`` from whichever of their scores exist so far."""

import argparse
from pathlib import Path

from cld.config import load_preset
from cld.reporting.tables.render import FOLDER, FOLDER_NOW, KINDS, available_cells, built_cells, write
from cld.reporting.tables.spec import load_table, table_names
from cld.runtime.progress import progress


def main() -> None:
    """Render tables from their cells; with --now from the scores that exist, gaps marked."""
    parser = argparse.ArgumentParser(prog="cld tables", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--results", default="results", help="the results folder")
    parser.add_argument("--tables", nargs="+", help="files of config/tables; default: all")
    parser.add_argument("--now", action="store_true", help=f"from the scores so far, into {FOLDER_NOW}/")
    args = parser.parse_args()
    load_preset(args.preset)
    names = args.tables or table_names()
    if not args.now:
        for name in names:
            table = load_table(name, args.preset)
            write(table, built_cells(table, args.preset, args.results), args.preset, args.results, FOLDER)
        return
    folder, lines = Path(args.results) / args.preset / FOLDER_NOW, []
    with progress("render", len(names), "tables") as bar:
        for name in names:
            table = load_table(name, args.preset)
            cells = available_cells(table, args.preset, args.results)
            if cells:
                write(table, cells, args.preset, args.results, FOLDER_NOW)
            else:  # an earlier call's tables, whose scores are gone
                for kind in KINDS:
                    (folder / f"{name}.{kind}").unlink(missing_ok=True)
            lines.append(f"{name}: {len(cells)} of {len(table.cells)} cells")
            bar.advance()
    print("\n".join([*lines, f"in {folder}"]))
