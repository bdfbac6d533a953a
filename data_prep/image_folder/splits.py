"""Which images learn, validate and test."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.build_record import some
from data_prep.common.image_tree import SUFFIXES, by_suffix
from data_prep.common.settings import Settings
from data_prep.image_folder.layout import SPLITS, Tree

CLASSES_SHOWN = 5


def split_tree(root: Path, tree: Tree, settings: Settings) -> dict[str, list[tuple[Path, int]]]:
    """The images of each split with their labels, class by class, in natural order.

    Raises:
        InputError: fewer than two classes, a class with too few images, or one that is scored without having
            been learnt.
    """
    _check(root, tree, settings)
    by_class = dict(tree.images)

    def take(share: float, split: str, at_least: int) -> None:
        """Take a share of each class's training images for another split."""
        pairs = [
            divided(paths, share, settings.split_seed, f"{split} {name}", at_least)
            for name, paths in zip(tree.classes, by_class["train"], strict=True)
        ]
        by_class["train"], by_class[split] = map(list, zip(*pairs, strict=True))

    if None in by_class:
        by_class["train"] = by_class.pop(None)
        take(settings.test_share, "test", at_least=1)
    if "val" not in by_class and settings.val_share:
        take(settings.val_share, "val", at_least=0)
        if not any(by_class["val"]):
            raise InputError(
                f"{root}: split 'val' is empty: val_share {settings.val_share} of a class's training images "
                f"is less than one; raise it, or set it to 0"
            )
    return {
        split: [(path, label) for label, paths in enumerate(by_class[split]) for path in paths]
        for split in SPLITS
        if split in by_class
    }


def divided(
    paths: Sequence[Path], share: float, seed: int, stream: str, at_least: int
) -> tuple[list[Path], list[Path]]:
    """Take ``share`` of the paths away at random, at least ``at_least`` and never all; both keep their order.

    Choices of another ``stream`` are independent of these.
    """
    n = min(max(round(len(paths) * share), at_least), max(len(paths) - 1, 0))
    entropy = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8])
    order = np.random.default_rng((seed, entropy)).permutation(len(paths)).tolist()
    return [paths[i] for i in sorted(order[n:])], [paths[i] for i in sorted(order[:n])]


def leaks(root: Path, splits: Mapping[str, Sequence[tuple[Path, int]]]) -> list[str]:
    """Notes on images that are in two splits under two names: a score is then better than it should be."""
    sizes = {path: _size(path) for group in splits.values() for path, _ in group}
    n_of_size = Counter(sizes.values())
    # only files of equal size can be equal: the others are not read
    digests = {
        split: {path: _sha256(path) for path, _ in group if sizes[path] and n_of_size[sizes[path]] > 1}
        for split, group in splits.items()
    }
    notes = []
    for before, after in combinations(splits, 2):
        first = {sha256: path for path, sha256 in reversed(digests[before].items())}
        twins = [
            (path, first[sha256]) for path, sha256 in digests[after].items() if sha256 and sha256 in first
        ]
        if twins:
            one, other = (path.relative_to(root).as_posix() for path in twins[0])
            notes.append(
                f"images of split {after} whose bytes are those of an image of split {before} (a leak): "
                f"{len(twins)}, the first {one} = {other}"
            )
    return notes


# None where the file cannot be read: that is reported where it is decoded.


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _sha256(path: Path) -> str | None:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _check(root: Path, tree: Tree, settings: Settings) -> None:
    if len(tree.classes) < 2:
        raise InputError(
            f"{root}: one class only ('{tree.classes[0]}'); classification needs two: name the folder above, "
            f"or add a class"
        )
    fewest = max(settings.min_class_images, 2 if None in tree.images else 1)
    totals = [sum(map(len, paths)) for paths in zip(*tree.images.values(), strict=True)]
    small = [
        f"'{name}' ({n}" + (f"; left out: {by_suffix(others)})" if (others := tree.others.get(name)) else ")")
        for name, n in zip(tree.classes, totals, strict=True)
        if n < fewest
    ]
    if small:
        raise InputError(
            f"{root}: too few images of class {some(small, CLASSES_SHOWN)}; each needs {fewest}: add "
            f"images, remove the folder, or lower min_class_images of the build settings. "
            f"Images end in {', '.join(sorted(SUFFIXES))}"
        )
    for split, by_class in tree.images.items():
        learnt = tree.images.get("train", by_class)
        pairs = zip(tree.classes, learnt, by_class, strict=True)
        unlearnt = [f"'{name}'" for name, own, paths in pairs if paths and not own]
        if unlearnt:
            raise InputError(
                f"{root}: split '{split}' has images of class {some(unlearnt, CLASSES_SHOWN)} and train has "
                f"none; fix the folder's name, add training images, or remove it"
            )
