"""The folders that hold ImageNet's images: of a tree, or archives, whose members are read where they lie."""

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cld.runtime.errors import InputError
from data_prep.common.image_tree import is_folder
from data_prep.common.source_files import reading

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


@dataclass(frozen=True)
class TreeFolder:
    """A folder of image files."""

    path: Path

    def places(self) -> tuple[list[Place], int]:
        """Its images, sorted by name, and the number of other files; hidden files are neither.

        Raises:
            InputError: it cannot be looked into.
        """
        with reading(self.path), os.scandir(self.path) as entries:
            # a broken link is an image that cannot be read
            files = [entry.path for entry in entries if entry.name[0] != "." and not entry.is_dir()]
        images = sorted(path for path in files if path.lower().endswith(SUFFIXES))
        return [Place(os.path.basename(path), path) for path in images], len(files) - len(images)


@dataclass(frozen=True)
class TarFolder:
    """An uncompressed archive of image files, by itself or a member of another.

    Attributes:
        path: the file.
        start: where in it the archive begins.
    """

    path: Path
    start: int = 0

    def places(self) -> tuple[list[Place], int]:
        """Its images, sorted by name, and the number of other members."""
        members = list(_members(self.path, self.start))
        images = [
            Place(os.path.basename(member.name), str(self.path), member.offset_data, member.size)
            for member in members
            if member.name.lower().endswith(SUFFIXES)
        ]
        return sorted(images), len(members) - len(images)


def train_folders(root: Path) -> dict[str, TreeFolder | TarFolder]:
    """The folder of each synset's training images, by synset, sorted: of ``train/``, or of the archive.

    Raises:
        InputError: there is neither, it has no synset, or the archive is damaged.
    """
    tree, archive = root / "train", root / TRAIN_ARCHIVE
    if is_folder(tree):
        found = _synset_folders(tree)
        where = f"{tree}: no folder is"
    elif archive.is_file():
        members = ((Path(member.name).stem, member) for member in _members(archive))
        found = {
            name: TarFolder(archive, member.offset_data) for name, member in members if SYNSET.fullmatch(name)
        }
        where = f"{archive}: no member is"
    else:
        raise InputError(f"{root}: neither a folder train nor {TRAIN_ARCHIVE}; {FIX}")
    if not found:
        raise InputError(f"{where} named as a synset is, such as n01440764; {FIX}")
    return dict(sorted(found.items()))


def val_folders(root: Path) -> dict[str, TreeFolder | TarFolder]:
    """The folders of the validation images by synset; or one, by the name "", that holds all of them.

    Raises:
        InputError: there is neither ``val/`` nor the archive.
    """
    tree, archive = root / "val", root / VAL_ARCHIVE
    if is_folder(tree):
        return dict(sorted(_synset_folders(tree).items())) or {"": TreeFolder(tree)}
    if archive.is_file():
        return {"": TarFolder(archive)}
    raise InputError(f"{root}: neither a folder val nor {VAL_ARCHIVE}; {FIX}")


def _synset_folders(tree: Path) -> dict[str, TreeFolder]:
    """Files named as synsets, such as archives that were unpacked and kept, are left alone."""
    with reading(tree), os.scandir(tree) as entries:
        names = [entry.name for entry in entries if SYNSET.fullmatch(entry.name) and entry.is_dir()]
    return {name: TreeFolder(tree / name) for name in names}


def _members(path: Path, start: int = 0) -> Iterator[tarfile.TarInfo]:
    """The files of the archive that begins at a place of a file.

    Raises:
        InputError: it is no archive, or is cut short.
    """
    try:
        with open(path, "rb") as file:
            file.seek(start)
            # its offsets count from the beginning of the file, wherever the archive begins in it
            with tarfile.open(fileobj=file, mode="r:") as archive:
                yield from (member for member in archive if member.isfile())
    except (tarfile.TarError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: damaged or cut short ({reason}); fetch it again") from error
