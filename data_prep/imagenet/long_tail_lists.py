"""ImageNet-LT: lists of images, one "path label" a line (Liu et al., CVPR 2019)."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.jpeg_store import SourceImage
from data_prep.common.source_files import read_lines

SPLITS = ("train", "val", "test")
ORIGIN = "get ImageNet-LT's lists (https://github.com/zhmiao/OpenLongTailRecognition-OLTR) and put them there"
#: Classes with more training images than MANY, with FEW..MANY, with fewer than FEW (Liu et al.).
MANY, FEW = 100, 20


def listed_images(
    root: Path, train: Sequence[SourceImage], val: Sequence[SourceImage], synsets: Sequence[str]
) -> dict[str, list[SourceImage]]:
    """The images of each split, in the lists' order.

    Args:
        train: ILSVRC's training images, ``train/<synset>/<file>``.
        val: its validation images, ``val/<synset>/<file>``, or ``val/<file>`` with label -1 where only the
            lists say what they show. The lists may name them either way.

    Raises:
        InputError: a list is missing; names the line: malformed, of no image, of an image that was listed
            before, with a label outside the classes or another than the image's folder has.
    """
    known = {image.name: image for image in train} | {_flat(image.name): image for image in val}
    seen: dict[str, str] = {}
    folder = root / "ImageNet_LT"
    return {split: _listed(folder / f"ImageNet_LT_{split}.txt", known, seen, synsets) for split in SPLITS}


def _listed(
    path: Path, known: Mapping[str, SourceImage], seen: dict[str, str], synsets: Sequence[str]
) -> list[SourceImage]:
    if not path.exists():
        raise InputError(f"{path}: missing; {ORIGIN}")
    images = []
    for number, line in enumerate(read_lines(path), start=1):
        where = f"{path}, line {number}"
        name, _, text = line.rpartition(" ")
        if not name or not text.isdecimal():
            raise InputError(f"{where}: '{line[:80]}' is not 'path label'; {ORIGIN}")
        name, label = name.strip(), int(text)
        image = known.get(name if name.startswith("train/") else _flat(name))
        if image is None:
            raise InputError(f"{where}: there is no {name}; fetch all of ImageNet, or fix the list")
        if label >= len(synsets):
            raise InputError(f"{where}: label {label} is outside 0..{len(synsets) - 1}; {ORIGIN}")
        if image.label not in (label, -1):
            raise InputError(
                f"{where}: label {label} is {synsets[label]}, but {name} shows {synsets[image.label]}; "
                "labels are places in the sorted list of all synsets: fetch all of them, or fix the list"
            )
        if image.name in seen:
            raise InputError(f"{where}: {name} was listed before, in {seen[image.name]}; {ORIGIN}")
        seen[image.name] = f"{path.name}, line {number}"
        if image.label == -1:
            image = replace(image, label=label, name=f"val/{synsets[label]}/{os.path.basename(name)}")
        images.append(image)
    return images


def shots(labels: Mapping[str, np.ndarray], n_classes: int) -> list[dict[str, object]]:
    """A table for the report: classes and images by how many training images a class has."""
    counts = np.bincount(labels["train"], minlength=n_classes)
    groups = {
        f"many-shot (more than {MANY})": counts > MANY,
        f"medium-shot ({FEW} to {MANY})": (counts >= FEW) & (counts <= MANY),
        f"few-shot (fewer than {FEW})": counts < FEW,
    }
    return [
        {
            "training images of a class": group,
            "classes": int(members.sum()),
            **{split: int(members[values].sum()) for split, values in labels.items()},
        }
        for group, members in groups.items()
    ]


def _flat(name: str) -> str:
    """``val/<synset>/<file>`` as ``val/<file>``: validation images are numbered, whatever their folder."""
    return f"{name.partition('/')[0]}/{os.path.basename(name)}"
