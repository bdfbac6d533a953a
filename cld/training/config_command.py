"""Name a run by arguments, and print it: ``cld config --preset demo --dataset kitchen_hc --method npid``."""

import argparse

import yaml

from cld.config import load_run, parse_overrides
from cld.runtime.arguments import ArgumentParser
from cld.training.run_id import run_id


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command name a run: its preset, dataset, method, seed and further settings."""
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--dataset", required=True, help="a file of config/datasets")
    parser.add_argument("--method", required=True, help="a file of config/methods")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to config/run.yaml")


def run_of(args: argparse.Namespace) -> dict:
    """The resolved configuration of the run that a command's arguments name."""
    return load_run(args.preset, args.dataset, args.method, args.seed, parse_overrides(args.overrides))


def main() -> None:
    """Print the resolved configuration of a run."""
    parser = ArgumentParser(prog="cld config", description=main.__doc__)
    add_run_arguments(parser)
    run = run_of(parser.parse_args())
    print(f"# {run_id(run)}\n{yaml.safe_dump(run, sort_keys=False)}", end="")
