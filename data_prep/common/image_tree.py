"""Trees of images with a folder for each class, as torchvision's ImageFolder reads them.

Hidden files and folders are passed over everywhere, and folders in which systems keep thumbnails and what was
deleted.
"""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.common.build_record import some
from data_prep.common.source_files import reading

#: Suffixes of images: those of torchvision's ImageFolder, and JPEGs as browsers save them.
SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}
#: Folders of file systems and file managers, which may hold thumbnails, beside those that begin with a dot.
SYSTEM_FOLDERS = {"@eaDir", "@Recycle", "#recycle", "$RECYCLE.BIN", "__MACOSX", "System Volume Information"}
CLASSES_SHOWN = 3


def class_folders(folder: Path) -> list[Path]:
    """The folders in ``folder``, in the order of their names.

    Raises:
        InputError: ``folder`` cannot be looked into, or a name in it is not UTF-8.
    """
    return [Path(entry.path) for entry in _listed(folder) if entry.is_dir()]


def loose_files(folder: Path) -> int:
    """How many files lie in ``folder`` itself."""
    return sum(not entry.is_dir() for entry in _listed(folder))


def image_paths(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images in ``folder`` and the folders in it, and the other files, both in natural order."""
    files = sorted(files_below(folder), key=natural)
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    return images, [path for path in files if path.suffix.lower() not in SUFFIXES]


def by_suffix(paths: Sequence[Path]) -> str:
    """How many paths have which suffix, in words: "12 .gif, 1 without suffix"."""
    counts = Counter(path.suffix.lower() or "without suffix" for path in paths)
    return ", ".join(f"{n} {suffix}" for suffix, n in counts.most_common())


def left_out(root: Path, others: Mapping[str, Sequence[Path]]) -> list[str]:
    """What to say of files that are no images by their suffix, given by class: a line for each suffix."""
    classes: dict[str, dict[str, list[Path]]] = defaultdict(dict)
    for name, paths in others.items():
        for path in paths:
            classes[path.suffix.lower()].setdefault(name, []).append(path)
    lines = []
    for by_class in classes.values():
        paths = [path for group in by_class.values() for path in group]
        of = some([f"'{name}'" for name in by_class], CLASSES_SHOWN)
        example = paths[0].relative_to(root).as_posix()
        lines.append(
            f"left out, since no image has their suffix: {by_suffix(paths)} of class {of}, as {example}"
        )
    return lines


def files_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """The files in ``folder`` and the folders in it; links to folders are followed, but not in circles."""
    place = os.path.realpath(folder)
    if place in above:  # a link to a folder that it lies in
        return
    for entry in _listed(folder):
        if entry.is_dir():
            yield from files_below(Path(entry.path), above | {place})
        elif entry.is_file() or entry.is_symlink():  # a broken link is an image that cannot be read
            yield Path(entry.path)


def fingerprint(folder: Path) -> str:
    """Changes when a file below is added, removed, renamed or written: SHA-256 of names, sizes and times."""
    digest = hashlib.sha256()
    for path in files_below(folder):
        facts = path.lstat()
        digest.update(f"{path.relative_to(folder)}\0{facts.st_size}\0{facts.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key that has rgb_9 before rgb_10; equal keys (rgb_1, rgb_01) by the name itself."""
    parts = re.split(r"([0-9]+)", str(path).lower())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts], str(path)


def _listed(folder: Path) -> list[os.DirEntry]:
    with reading(folder), os.scandir(folder) as entries:
        shown = (entry for entry in entries if entry.name[0] != "." and entry.name not in SYSTEM_FOLDERS)
        listed = sorted(shown, key=lambda entry: entry.name)
    for entry in listed:
        try:
            entry.name.encode()  # manifests and reports are UTF-8
        except UnicodeEncodeError:
            name = os.fsencode(entry.name)
            raise InputError(f"{folder}: the name {name!r} is not UTF-8; rename it") from None
    return listed
