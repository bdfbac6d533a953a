"""The command line that all builders share."""

import argparse
from pathlib import Path

from cld.config import parse_overrides
from data_prep.common.build_record import Target
from data_prep.common.settings import build_settings


def parse_build(description: str) -> dict[str, object]:
    """Parse a build's command line into its arguments: ``root, settings, target, workers``.

    Args:
        description: the module's docstring.

    Raises:
        InputError: no such preset or dataset, or settings that do not fit.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--dataset", required=True, help="what to build: a file of config/datasets")
    parser.add_argument("--root", type=Path, required=True, help="folder of the upstream files")
    parser.add_argument("--store", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument("--manifest", type=Path, required=True, help="CSV file to write, one row an image")
    parser.add_argument(
        "--report", type=Path, required=True, help="Markdown file to write; JSON goes beside it"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that decode (default 1)")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changes to the dataset's section 'build'"
    )
    args = parser.parse_args()
    return {
        "root": args.root,
        "settings": build_settings(args.preset, args.dataset, parse_overrides(args.overrides)),
        "target": Target(args.store, args.manifest, args.report, args.dataset, args.preset),
        "workers": args.workers,
    }
