"""The arguments by which a command names a run."""

import argparse

from cld.config import load_run, parse_overrides


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
