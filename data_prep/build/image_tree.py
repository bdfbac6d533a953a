"""Trees of images with a folder for each class, as torchvision's ImageFolder reads them.

Hidden files and folders are passed over everywhere: editors and file managers leave them behind.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from cld.errors import InputError

#: Suffixes of images, those of torchvision's ImageFolder.
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}


def class_folders(folder: Path) -> list[Path]:
    """The folders in ``folder``, in the order of their names.

    Raises:
        InputError: ``folder`` cannot be listed, or a name in it is not UTF-8.
    """
    return [path for path in _listed(folder) if path.is_dir()]


def has_images(folder: Path) -> bool:
    """Whether images lie in ``folder`` itself.

    Raises:
        InputError: as :func:`class_folders`.
    """
    return any(_is_image(path) for path in _listed(folder) if path.is_file())


def image_paths(folder: Path) -> tuple[list[Path], int]:
    """The images in ``folder`` and the folders in it, in natural order, and the number of other files.

    Raises:
        InputError: as :func:`class_folders`.
    """
    files = list(_files(folder, set()))
    images = sorted((path for path in files if _is_image(path)), key=natural)
    return images, len(files) - len(images)


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key that has rgb_9 before rgb_10; equal keys (rgb_1, rgb_01) by the name itself."""
    parts = re.split(r"([0-9]+)", str(path).lower())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], str(path)


def _files(folder: Path, above: set[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    place = (status.st_dev, status.st_ino)
    if place in above:  # a link to a folder that it lies in
        return
    for path in _listed(folder):
        if path.is_dir():
            yield from _files(path, above | {place})
        elif path.is_file() or path.is_symlink():  # a broken link is an image that cannot be read
            yield path


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _listed(folder: Path) -> list[Path]:
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror}); mend its permissions") from error
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{folder}: the name {os.fsencode(name)!r} is not UTF-8; rename it") from None
    return [folder / name for name in names]
