"""Trees of images with a folder for each class, as torchvision's ImageFolder reads them.

Hidden files and folders are passed over everywhere: editors and file managers leave them behind.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cld.runtime.errors import InputError

#: Suffixes of images, those of torchvision's ImageFolder.
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}


@contextmanager
def looking_into(folder: Path) -> Iterator[None]:
    """Turn a folder that cannot be looked into into one line that names what cannot be seen.

    Raises:
        InputError: instead of the system's error.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or folder}: cannot be looked at ({error.strerror}); fix the permissions of it "
            "and of the folders above"
        ) from error


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder.

    Raises:
        InputError: nobody may look.
    """
    with looking_into(path):
        return path.is_dir()


def class_folders(folder: Path) -> list[Path]:
    """The folders in ``folder``, in the order of their names.

    Raises:
        InputError: ``folder`` cannot be looked into, or a name in it is not UTF-8.
    """
    return [path for path in _listed(folder) if is_folder(path)]


def loose_files(folder: Path) -> int:
    """How many files lie in ``folder`` itself.

    Raises:
        InputError: as :func:`class_folders`.
    """
    return sum(not is_folder(path) for path in _listed(folder))


def image_paths(folder: Path) -> tuple[list[Path], int]:
    """The images in ``folder`` and the folders in it, in natural order, and the number of other files.

    Raises:
        InputError: as :func:`class_folders`.
    """
    with looking_into(folder):
        files = list(_files(folder, set()))
    images = sorted((path for path in files if _is_image(path)), key=natural)
    return images, len(files) - len(images)


def require_utf8(where: str, name: str) -> None:
    """Check that a name on disk is text: manifests and reports are UTF-8.

    Raises:
        InputError: it is not.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: the name {os.fsencode(name)!r} is not UTF-8; rename it") from None


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
    with looking_into(folder):
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    for name in names:
        require_utf8(str(folder), name)
    return [folder / name for name in names]
