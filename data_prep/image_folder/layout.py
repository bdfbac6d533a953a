"""How a folder of images is laid out: split already, or a folder for each class and nothing else."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.common.image_tree import class_folders, image_paths, left_out, loose_files
from data_prep.common.source_files import is_folder

EXPECTED = "train/<class>/* and test/<class>/* (and val/<class>/*), train and val, or <class>/*"
SPLITS = ("train", "val", "test")
#: Names that a folder of a split might have; a class of such a name holds images, not folders.
SPLIT_WORDS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"}


@dataclass
class Tree:
    """The images of a folder."""

    classes: list[str]  # names, in the order of the labels
    images: dict[str | None, list[list[Path]]]  # by split (None: not split yet), then by label
    notes: list[str] = field(default_factory=list)  # what was left alone
    others: dict[str, list[Path]] = field(default_factory=dict)  # files of another suffix, by class


def read_tree(root: Path, key: str) -> Tree:
    """List the images under ``root``, which the configuration names by ``key``.

    Raises:
        InputError: there is no such folder, or it is laid out otherwise; names what is expected.
    """
    if not is_folder(root):
        raise InputError(f"{root}: no such folder; point {key} at the folder that holds {EXPECTED}")
    splits, notes = _splits(root)
    folders: dict[str | None, dict[str, Path]] = {}
    for split, folder in splits.items():
        folders[split] = _by_class(folder)
        if not folders[split]:
            raise InputError(f"{folder}: no folders of classes; {key} names a folder that holds {EXPECTED}")
        if n_loose := loose_files(folder):
            notes.append(f"files in {folder.name} itself, in no class, were left alone: {n_loose}")
    classes = sorted(set().union(*folders.values()))
    images, others = {split: [] for split in folders}, {name: [] for name in classes}
    for split, by_name in folders.items():
        for name in classes:
            paths, more = image_paths(by_name[name]) if name in by_name else ([], [])
            images[split].append(paths)
            others[name] += more
    return Tree(classes, images, notes + left_out(root, others), others)


def _by_class(folder: Path) -> dict[str, Path]:
    """The folders in ``folder`` by class. Unicode can write é in two ways, and systems differ in theirs."""
    by_class: dict[str, Path] = {}
    for path in class_folders(folder):
        name = unicodedata.normalize("NFC", path.name)
        if name in by_class:
            raise InputError(
                f"{folder}: two folders are called '{name}', whose accents are written in two ways (Unicode "
                "NFC and NFD); put their images into one"
            )
        by_class[name] = path
    return by_class


def _splits(root: Path) -> tuple[dict[str | None, Path], list[str]]:
    """The folders of the splits, and notes; ``root`` itself, as None, where it has none."""
    folders = class_folders(root)
    words = [folder for folder in folders if folder.name.lower() in SPLIT_WORDS]
    if len(words) < len(folders):  # among classes, one of this name is a class unless it holds folders
        words = [folder for folder in words if class_folders(folder)]
    if not words:
        return {None: root}, []
    named = {folder.name: folder for folder in words}
    if not {"train"} < named.keys() <= set(SPLITS):
        raise InputError(
            f"{root}: holds {', '.join(named)}, which look like splits and are not those expected "
            f"({EXPECTED}); rename them"
        )
    others = [folder.name for folder in folders if folder.name not in named]
    notes = [f"folders beside the splits were left alone: {', '.join(others)}"] if others else []
    if "test" not in named:
        notes.append("the images of folder val are split test: there is no folder test")
        named["test"] = named.pop("val")
    return {split: named[split] for split in SPLITS if split in named}, notes
