"""The folders that hold ImageNet's images: of a tree, or archives, whose members are read where they lie."""

import os
import re
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cld.runtime.errors import InputError
from data_prep.common.source_files import is_folder, reading

SYNSET = re.compile(r"n\d{8}")
SUFFIXES = (".jpeg", ".jpg", ".png")
TRAIN_ARCHIVE, VAL_ARCHIVE = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
FIX = (
    "see 'python -m data_prep fetch', or name the folder that holds ImageNet as data.paths.imagenet in "
    "config/config.yaml"
)


class Place(NamedTuple):
    """Where an image's bytes lie, as in ``SourceImage``; ``name`` is the file's, without its folder."""

    name: str
    path: str
    offset: int = 0
    size: int | None = None


Listing = Callable[[], tuple[list[Place], int]]
"""Lists a folder when it is called: its images, sorted by name, and the number of other files."""


def train_folders(root: Path) -> dict[str, Listing]:
    """The folder of each synset's training images, by synset, sorted: of ``train/``, or of the archive.

    Raises:
        InputError: there is neither, it has no synset, or the archive is damaged.
    """
    tree, archive = root / "train", root / TRAIN_ARCHIVE
    if is_folder(tree):
        found = _synset_folders(tree)
        where = f"{tree}: no folder is"
    elif archive.is_file():
        members = ((Path(member.name).stem, member.offset_data) for member in _members(archive))
        found = {
            name: partial(_archive_images, archive, start)
            for name, start in members
            if SYNSET.fullmatch(name)
        }
        where = f"{archive}: no member is"
    else:
        raise InputError(f"{root}: neither a folder train nor {TRAIN_ARCHIVE}; {FIX}")
    if not found:
        raise InputError(f"{where} named as a synset is, such as n01440764; {FIX}")
    return dict(sorted(found.items()))


def val_folders(root: Path) -> dict[str, Listing]:
    """The folders of the validation images by synset; or one, by the name "", that holds all of them."""
    tree, archive = root / "val", root / VAL_ARCHIVE
    if is_folder(tree):
        return dict(sorted(_synset_folders(tree).items())) or {"": partial(_folder_images, tree)}
    if archive.is_file():
        return {"": partial(_archive_images, archive)}
    raise InputError(f"{root}: neither a folder val nor {VAL_ARCHIVE}; {FIX}")


def _synset_folders(tree: Path) -> dict[str, Listing]:
    """Files named as synsets, such as archives that were unpacked and kept, are left alone."""
    with reading(tree), os.scandir(tree) as entries:
        names = [entry.name for entry in entries if SYNSET.fullmatch(entry.name) and entry.is_dir()]
    return {name: partial(_folder_images, tree / name) for name in names}


def _folder_images(folder: Path) -> tuple[list[Place], int]:
    """The images of a folder of files, or of the folder ``images`` in it; hidden files are left alone."""
    if is_folder(folder / "images"):  # Tiny-ImageNet
        folder = folder / "images"
    with reading(folder), os.scandir(folder) as entries:
        # a broken link is an image that cannot be read
        files = [Place(e.name, e.path) for e in entries if e.name[0] != "." and not e.is_dir()]
    return _images(files)


def _archive_images(path: Path, start: int = 0) -> tuple[list[Place], int]:
    """The images of the uncompressed archive that begins at ``start`` of a file."""
    members = _members(path, start)
    return _images([Place(os.path.basename(m.name), str(path), m.offset_data, m.size) for m in members])


def _images(files: list[Place]) -> tuple[list[Place], int]:
    images = sorted(file for file in files if file.name.lower().endswith(SUFFIXES))
    return images, len(files) - len(images)


def _members(path: Path, start: int = 0) -> list[tarfile.TarInfo]:
    """The files of the archive that begins at ``start`` of a file; an InputError where it is none."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            # its offsets count from the beginning of the file, wherever the archive begins in it
            with tarfile.open(fileobj=file, mode="r:") as archive:
                return [member for member in archive if member.isfile()]
    except (tarfile.TarError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: damaged or cut short ({reason}); fetch it again") from error
