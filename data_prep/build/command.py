"""The command line that the Kitchen-HC builders share."""

import argparse
from pathlib import Path

from cld.config import load_dataset, parse_overrides
from data_prep.build.settings import BuildSettings


def parse_build(description: str) -> dict[str, object]:
    """Parse a build's command line into the arguments of ``build_from_scenes`` or ``build_from_folder``.

    Raises:
        InputError: no such preset, or settings that do not fit.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--root", type=Path, required=True, help="folder of the upstream files")
    parser.add_argument("--store", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument("--manifest", type=Path, required=True, help="CSV file to write, one row an instance")
    parser.add_argument(
        "--report", type=Path, required=True, help="Markdown file to write; JSON goes beside it"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that decode (default 1)")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changes to data_prep.build.settings.BuildSettings"
    )
    arguments = vars(parser.parse_args())
    build = load_dataset(arguments["preset"], "kitchen_hc")["build"]
    build = build | parse_overrides(arguments.pop("overrides"))
    return arguments | {"settings": BuildSettings.from_mapping(build)}
