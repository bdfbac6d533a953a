"""Write a source's upstream files for the demo: generated pictures in the publisher's layout.

    python -m data_prep generate --preset demo --source cifar10 --out FOLDER [--workers 2] [key=value ...]

The builders read these files as they read the published ones; ``generated.json`` marks the generated ones.
The same settings give the same bytes on one machine, for any number of workers.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cld.config import load_source, parse_overrides
from cld.runtime.arguments import ArgumentParser, count
from cld.runtime.errors import InputError
from cld.runtime.files import writing
from data_prep.common.build_lock import only_build
from data_prep.common.settings import generator_settings
from data_prep.synthetic.kitchen.render import render_kitchens
from data_prep.synthetic.pictures.cifar_files import write_cifar10, write_cifar100
from data_prep.synthetic.pictures.imagenet_files import write_imagenet
from data_prep.synthetic.pictures.stl10_files import write_stl10
from data_prep.synthetic.pictures.voc_files import write_voc

MARKER = "generated.json"
"""Names the format and the settings of generated files; the published ones have no such file."""

#: By format of ``config/sources``: a function of (empty folder, settings, workers) that writes it.
WRITERS: dict[str, Callable[[Path, Any, int], None]] = {
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "gmu_kitchens": render_kitchens,
    "imagenet": write_imagenet,
    "stl10": write_stl10,
    "voc": write_voc,
}


def generate(file_format: str, settings: object, out: str | Path, workers: int = 1) -> None:
    """Write a format's files into the new folder ``out``; earlier generated files there are replaced.

    Raises:
        InputError: ``out`` is a file, or a folder with anything but generated files in it, or cannot be
            written; another process writes it.
    """
    with only_build(out), writing(out), _replaced_folder(Path(out)) as folder:
        WRITERS[file_format](folder, settings, workers)
        content = {"format": file_format, "settings": vars(settings)}
        (folder / MARKER).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _replaced_folder(root: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``root``; on success it replaces ``root``.

    Its name, ``.<name>.partial``, is fixed: the next generator removes what a killed one left behind.
    """
    if root.exists() and not (root.is_dir() and ((root / MARKER).is_file() or not any(root.iterdir()))):
        raise InputError(f"{root}: exists and was not generated; choose another folder, or remove it first")
    partial = root.with_name(f".{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if root.exists():
            shutil.rmtree(root)
        os.rename(partial, root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def main() -> None:
    """Write a source's upstream files for the demo."""
    parser = ArgumentParser(prog="python -m data_prep generate", description=main.__doc__)
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument("--source", required=True, help="a file of config/sources")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to make; earlier generated files are replaced"
    )
    parser.add_argument("--workers", type=count, default=1, help="processes (default: 1)")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changes to the source's section 'generate'"
    )
    options = parser.parse_args()
    settings = generator_settings(options.preset, options.source, parse_overrides(options.overrides))
    if not options.out.name:
        raise InputError(f"--out {options.out}: is not the name of a new folder; give one")
    file_format = load_source(options.preset, options.source)["format"]
    generate(file_format, settings, options.out, options.workers)
