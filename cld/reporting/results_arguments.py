"""The arguments by which a command that reports names results."""

import argparse

from cld.config import load_config


def add_results_arguments(parser: argparse.ArgumentParser) -> None:
    """``--preset`` and ``--results``; defaults: those of ``config/config.yaml``."""
    config = load_config()
    preset, results = config["preset"], config["results"]
    parser.add_argument("--preset", default=preset, help=f"a file of config/presets; default: {preset}")
    parser.add_argument("--results", default=results, help=f"the results folder; default: {results}")
