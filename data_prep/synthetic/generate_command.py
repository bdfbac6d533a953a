"""Write a source's upstream files for the demo: generated pictures in the publisher's layout.

    python -m data_prep generate --preset demo --source cifar10 --out FOLDER [--workers 2] [key=value ...]

All that comes after reads these files as it reads the published ones; what sets them apart is
``generated.json`` beside them. The same settings give the same bytes on one machine, however many workers
there are.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from cld.config import load_source, parse_overrides
from cld.runtime.files import writing
from data_prep.common.lock import only_build
from data_prep.common.settings import generator_settings
from data_prep.synthetic.generated_folder import generated_folder
from data_prep.synthetic.kitchen.scenes_writer import render_kitchen
from data_prep.synthetic.pictures.cifar import write_cifar10, write_cifar100
from data_prep.synthetic.pictures.imagenet import write_imagenet
from data_prep.synthetic.pictures.stl10 import write_stl10
from data_prep.synthetic.pictures.voc import write_voc

#: What writes a format of ``config/sources`` into an empty folder: a function of (folder, settings, workers).
WRITERS: dict[str, Callable[[Path, object, int], None]] = {
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "gmu_kitchens": render_kitchen,
    "imagenet": write_imagenet,
    "stl10": write_stl10,
    "voc": write_voc,
}


def generate(file_format: str, settings: object, out: str | Path, workers: int = 1) -> None:
    """Write a format's files into the new folder ``out``; earlier generated ones there are replaced.

    Raises:
        InputError: ``out`` is a file, or a folder with anything but generated files in it, or cannot be
            written; another process writes it.
    """
    with only_build(out), writing(out), generated_folder(out, file_format, settings) as folder:
        WRITERS[file_format](folder, settings, workers)


def main() -> None:
    """Write a source's upstream files for the demo."""
    parser = argparse.ArgumentParser(prog="python -m data_prep generate", description=main.__doc__)
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--source", required=True, help="a file of config/sources")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to make; earlier generated files are replaced"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changes to the source's section 'generate'"
    )
    options = parser.parse_args()
    settings = generator_settings(options.preset, options.source, parse_overrides(options.overrides))
    file_format = load_source(options.preset, options.source)["format"]
    generate(file_format, settings, options.out, options.workers)
