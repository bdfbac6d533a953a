"""Write the index page, one HTML file that loads nothing from anywhere: ``cld page``."""

from pathlib import Path

from cld.reporting.markup import filled
from cld.reporting.needed_runs import SUPPLEMENT, requested_tables
from cld.reporting.page.cells import PresetFiles
from cld.reporting.page.content import gather
from cld.reporting.results_arguments import add_results_arguments
from cld.runtime.arguments import ArgumentParser
from cld.runtime.files import write_text


def main() -> None:
    """Write a preset's index page: its tables, figures and datasets, and where each number comes from.

    What does not exist yet is shown as missing, with the command that makes it: the page can be written, and
    written again, while the workflow runs.
    """
    parser = ArgumentParser(prog="cld page", description=main.__doc__)
    add_results_arguments(parser)
    parser.add_argument(
        "--tables", nargs="*", help="files of config/tables; default: the supplement's and those begun"
    )
    parser.add_argument("--out", type=Path, help="the page; default: <results>/<preset>/index.html")
    parser.add_argument(
        "--now", action="store_true", help="as in cld tables; a page is always of what exists"
    )
    args = parser.parse_args()
    tables = requested_tables(args.tables, args.preset)
    if not args.tables:  # of others than the supplement's those that something exists of
        folder = Path(args.results) / args.preset / "cells"
        tables = [table for table in tables if table.name in SUPPLEMENT or (folder / table.name).is_dir()]
    out = args.out or Path(args.results) / args.preset / "index.html"
    write_text(out, filled("index.html.j2", gather(PresetFiles(args.results, args.preset, out), tables)))
    print(f"page: {out}")
