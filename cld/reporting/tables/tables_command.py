"""Render tables from their cells, or with ``--now`` from the scores that exist so far: ``cld tables``."""

from pathlib import Path

from cld.reporting.needed_runs import requested_tables
from cld.reporting.results_arguments import add_results_arguments
from cld.reporting.tables.cell import available_cells, built_cells
from cld.reporting.tables.render import FOLDER_NOW, KINDS, write
from cld.runtime.arguments import ArgumentParser
from cld.runtime.progress import progress


def main() -> None:
    """Render tables from their cells; with --now from the scores that exist, gaps marked."""
    parser = ArgumentParser(prog="cld tables", description=main.__doc__)
    add_results_arguments(parser)
    parser.add_argument("--tables", nargs="+", help="files of config/tables; default: all that are available")
    parser.add_argument("--now", action="store_true", help=f"from the scores so far, into {FOLDER_NOW}/")
    args = parser.parse_args()
    preset, results = args.preset, args.results
    tables = requested_tables(args.tables, preset)
    if not args.now:
        for table in tables:
            write(table, built_cells(table, results), results)
        return
    folder, lines = Path(results) / preset / FOLDER_NOW, []
    with progress("render", len(tables), "tables") as bar:
        for table in tables:
            cells = available_cells(table, results)
            if cells:
                write(table, cells, results, FOLDER_NOW)
            else:  # tables of an earlier call, whose scores are gone
                for kind in KINDS:
                    (folder / f"{table.name}.{kind}").unlink(missing_ok=True)
            lines.append(f"{table.name}: {len(cells)} of {len(table.cells)} cells")
            bar.advance()
    print("\n".join([*lines, f"in {folder}"]))
