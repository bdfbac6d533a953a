"""Print how far a preset's runs, scores and stores are: ``cld status``."""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from cld.config import load_config, load_preset
from cld.reporting.needed_runs import Needed, available_tables, needed_runs
from cld.reporting.status.overview import as_json, gather
from cld.reporting.status.slurm_logs import SlurmLogs
from cld.reporting.status.snakemake_files import SnakemakeFiles
from cld.reporting.tables.spec import load_table, require_tables, table_names
from cld.runtime.errors import InputError


def main() -> None:
    """Print how far runs, scores and stores are: done, running, queued or failed, and why.

    Files alone are read: it works while Snakemake does, and while it does not. Start it where Snakemake is
    started.
    """
    parser = argparse.ArgumentParser(prog="cld status", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--results", default="results", help="the results folder")
    parser.add_argument(
        "--tables", nargs="*", help="files of config/tables; default: all whose datasets are at hand"
    )
    parser.add_argument("--run", help="only runs whose names have this in them, and their scores")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--all", action="store_true", help="list every run, done and not begun ones too")
    shown.add_argument("--failed", action="store_true", help="only what has failed, and why")
    shown.add_argument("--json", action="store_true", help="everything, for programs")
    args = parser.parse_args()
    load_preset(args.preset)
    require_tables(args.tables or [])
    tables = [load_table(name, args.preset) for name in args.tables or table_names()]
    if not args.tables:
        tables = available_tables(tables, load_config()["data"]["paths"])
    wanted = needed_runs(tables, args.preset, with_evaluations=not args.tables)
    if args.run:
        wanted = of_run(wanted, args.run)
    overview = gather(args.preset, Path(args.results), wanted, SnakemakeFiles(), SlurmLogs(), time.time())
    try:
        if args.json:
            print(json.dumps(as_json(overview), indent=2))
        else:
            from cld.reporting.status.screen import show

            show(overview, args.all or bool(args.run), args.failed)
        sys.stdout.flush()
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def of_run(wanted: Needed, part: str) -> Needed:
    """What is needed of the runs whose names have ``part`` in them.

    Raises:
        InputError: there is none.
    """
    runs = {name: config for name, config in wanted.runs.items() if part in name}
    if not runs:
        raise InputError(
            f"--run {part}: no run that is needed has this in its name; cld status --all lists them"
        )
    scores = [score for score in wanted.scores if Path(score).parent.name in runs]
    return replace(wanted, runs=runs, scores=scores)
