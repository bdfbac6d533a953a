"""The arguments by which a command that reports names results."""

import argparse
from pathlib import Path

from cld.config import load_config


def add_results_arguments(parser: argparse.ArgumentParser) -> None:
    """``--preset`` and ``--results``; defaults: those of ``config/config.yaml``."""
    config = load_config()
    preset, results = config["preset"], config["results"]
    parser.add_argument("--preset", default=preset, help=f"a file of config/presets; default: {preset}")
    parser.add_argument(
        "--results", type=folder, default=results, help=f"the results folder; default: {results}"
    )


def folder(text: str) -> str:
    """The type of an argument that names a folder, which need not exist.

    Raises:
        ArgumentTypeError: something else lies there.
    """
    if Path(text).exists() and not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return text
