"""Trees of images with a folder for each class, as torchvision's ImageFolder reads them.

Hidden files and folders are passed over everywhere: editors and file managers leave them behind.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.common.source_files import reading

#: Suffixes of images, those of torchvision's ImageFolder.
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}


def class_folders(folder: Path) -> list[Path]:
    """The folders in ``folder``, in the order of their names.

    Raises:
        InputError: ``folder`` cannot be looked into, or a name in it is not UTF-8.
    """
    return [Path(entry.path) for entry in _listed(folder) if entry.is_dir()]


def loose_files(folder: Path) -> int:
    """How many files lie in ``folder`` itself.

    Raises:
        InputError: as :func:`class_folders`.
    """
    return sum(not entry.is_dir() for entry in _listed(folder))


def image_paths(folder: Path) -> tuple[list[Path], int]:
    """The images in ``folder`` and the folders in it, in natural order, and the number of other files.

    Raises:
        InputError: as :func:`class_folders`.
    """
    files = list(files_below(folder))
    images = sorted((path for path in files if path.suffix.lower() in SUFFIXES), key=natural)
    return images, len(files) - len(images)


def files_below(folder: Path) -> Iterator[Path]:
    """The files in ``folder`` and the folders in it; links to folders are followed, but not in circles.

    Raises:
        InputError: as :func:`class_folders`.
    """
    yield from _files_below(folder, frozenset())


def _files_below(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    place = os.path.realpath(folder)
    if place in above:  # a link to a folder that it lies in
        return
    for entry in _listed(folder):
        if entry.is_dir():
            yield from _files_below(Path(entry.path), above | {place})
        elif entry.is_file() or entry.is_symlink():  # a broken link is an image that cannot be read
            yield Path(entry.path)


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key that has rgb_9 before rgb_10; equal keys (rgb_1, rgb_01) by the name itself."""
    parts = re.split(r"([0-9]+)", str(path).lower())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], str(path)


def _listed(folder: Path) -> list[os.DirEntry]:
    with reading(folder), os.scandir(folder) as entries:
        listed = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
    for entry in listed:
        try:
            entry.name.encode()  # manifests and reports are UTF-8
        except UnicodeEncodeError:
            name = os.fsencode(entry.name)
            raise InputError(f"{folder}: the name {name!r} is not UTF-8; rename it") from None
    return listed
