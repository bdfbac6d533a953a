"""The arguments by which commands name a run, or where results are."""

import argparse

from cld.config import load_config, load_run, parse_overrides


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command name a run: its preset, dataset, method, seed and further settings."""
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--dataset", required=True, help="a file of config/datasets")
    parser.add_argument("--method", required=True, help="a file of config/methods")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to config/run.yaml")


def run_of(args: argparse.Namespace) -> dict:
    """The resolved configuration of the run that a command's arguments name.

    Raises:
        InputError: see :func:`cld.config.load_run`.
    """
    return load_run(args.preset, args.dataset, args.method, args.seed, parse_overrides(args.overrides))


def add_results_arguments(parser: argparse.ArgumentParser) -> None:
    """``--preset`` and ``--results`` of a command that reports; defaults: those of ``config/config.yaml``."""
    config = load_config()
    preset, results = config["preset"], config["results"]
    parser.add_argument("--preset", default=preset, help=f"a file of config/presets; default: {preset}")
    parser.add_argument("--results", default=results, help=f"the results folder; default: {results}")
