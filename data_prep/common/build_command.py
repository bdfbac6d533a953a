"""Build a dataset's store from its source's upstream files.

    python -m data_prep build --preset paper --dataset imagenet --root data/imagenet \\
        --store imagenet.h5 --manifest imagenet.csv --report imagenet.md --workers 16

The result does not depend on the number of workers.
"""

from pathlib import Path
from pkgutil import resolve_name

from cld.config import load_dataset, parse_overrides
from cld.runtime.arguments import ArgumentParser, count
from cld.runtime.files import require_place
from data_prep.common.build_lock import only_build
from data_prep.common.build_record import Target
from data_prep.common.settings import BUILDERS, build_settings


def main() -> None:
    """Build a dataset's store from its source's upstream files."""
    parser = ArgumentParser(prog="python -m data_prep build", description=main.__doc__)
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--dataset", required=True, help="what to build: a file of config/datasets")
    parser.add_argument("--root", type=Path, required=True, help="folder of the upstream files")
    parser.add_argument("--store", type=Path, required=True, help="HDF5 file to write")
    parser.add_argument("--manifest", type=Path, required=True, help="CSV file to write, one row an image")
    parser.add_argument(
        "--report", type=Path, required=True, help="Markdown file to write; JSON goes beside it"
    )
    parser.add_argument("--workers", type=count, default=1, help="processes that decode (default 1)")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changes to the dataset's section 'build'"
    )
    args = parser.parse_args()
    settings = build_settings(args.preset, args.dataset, parse_overrides(args.overrides))
    # only the chosen builder is imported: Kitchen-HC's needs Open3D, which is large and not everywhere
    build = resolve_name(BUILDERS[load_dataset(args.preset, args.dataset)["builder"]])
    for path in (args.store, args.manifest, args.report):
        require_place(path)
    with only_build(args.store):
        target = Target(args.store, args.manifest, args.report, args.dataset, args.preset)
        build(args.root, settings, target, args.workers)
