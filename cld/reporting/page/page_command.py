"""Write the index page: ``cld page --preset demo --out results/demo/index.html``."""

import argparse
from pathlib import Path

from cld.reporting.page.content import Places, gather
from cld.reporting.page.html import render
from cld.reporting.tables.spec import load_table, table_names
from cld.runtime.files import write_text


def main() -> None:
    """Write a preset's index page: its tables, figures and datasets, and where each number comes from."""
    parser = argparse.ArgumentParser(prog="cld page", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--results", default="results", help="the results folder")
    parser.add_argument("--tables", nargs="+", default=table_names(), help="default: all of config/tables")
    parser.add_argument("--out", type=Path, required=True, help="the page, <results>/<preset>/index.html")
    args = parser.parse_args()
    tables = [load_table(name, args.preset) for name in args.tables]
    write_text(args.out, render(gather(Places(args.results, args.preset, args.out), tables)))
