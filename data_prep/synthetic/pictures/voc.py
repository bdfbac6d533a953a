"""Write scenes as PASCAL VOC 2007 and 2012 are published.

The names of VOC's classes are a closed list, so here they stand for what the pictures do not show: each for
one kind of drawn object.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from cld.runtime.progress import progress
from data_prep.common.parallel import ordered_map
from data_prep.common.settings import Settings
from data_prep.synthetic.pictures.drawing import Drawn, draw_scene
from data_prep.synthetic.pictures.looks import Look, class_looks
from data_prep.synthetic.pictures.streams import Stream, generator

# fmt: off
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car",
    "cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike",
    "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
PERSON = CLASSES.index("person")
POSES = ("Unspecified", "Left", "Right", "Frontal", "Rear")
SIZES = ((200, 150), (200, 150), (150, 200), (200, 133), (180, 180))
"""Width and height of the pictures; the first is the commonest."""
DIFFICULT_BELOW = 0.75
"""Share of an object that is seen, below which it is difficult."""
SMALL = 1200
"""Pixels of a box, below which half of the objects are difficult."""


class _Object(NamedTuple):
    """An annotated object; ``box`` and the head's box as VOC counts: from 1, right and bottom inside."""

    label: int
    pose: str
    truncated: bool
    occluded: bool
    difficult: bool
    box: tuple[int, int, int, int]
    head: tuple[int, int, int, int] | None


@dataclass(frozen=True)
class _Job:
    looks: tuple[Look, ...]
    path: Path
    first_label: int
    seed: int
    year: int
    index: int


@dataclass(frozen=True)
class _Year:
    """One year's part of the development kit: its picture names, and its sets of them."""

    year: int
    names: tuple[str, ...]
    sets: dict[str, tuple[str, ...]]


def write_voc(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write ``VOCdevkit/VOC2007/`` and, without a test set, ``VOCdevkit/VOC2012/`` into ``root``."""
    looks = class_looks(len(CLASSES), settings.seed)
    for year in (_year_2007(settings), _year_2012(settings)):
        folder = root / "VOCdevkit" / f"VOC{year.year}"
        for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (folder / name).mkdir(parents=True)
        # every class comes first in some picture, so that none is missing even from a small set
        order = generator(settings.seed, Stream.LABELS, year.year).permutation(len(CLASSES))
        jobs = [
            _Job(
                looks,
                folder / "JPEGImages" / f"{name}.jpg",
                int(order[i % len(order)]),
                settings.seed,
                year.year,
                i,
            )
            for i, name in enumerate(year.names)
        ]
        objects = {}
        with progress(f"voc {year.year}", len(jobs), "pictures") as bar:
            for job, (size, found) in zip(jobs, ordered_map(_draw, jobs, workers), strict=True):
                annotation = _annotation(year.year, job.path.name, size, found)
                (folder / "Annotations" / f"{job.path.stem}.xml").write_bytes(annotation)
                objects[job.path.stem] = found
                bar.advance()
        _write_sets(folder / "ImageSets" / "Main", year, objects)


def _year_2007(settings: Settings) -> _Year:
    n = settings.trainval_2007 + settings.test_2007
    names = tuple(f"{number:06d}" for number in range(1, n + 1))
    mixed = generator(settings.seed, Stream.FILES, 2007).permutation(n)
    chosen = [names[i] for i in mixed]
    sets = _halves(chosen[: settings.trainval_2007])
    return _Year(2007, names, sets | {"test": tuple(sorted(chosen[settings.trainval_2007 :]))})


def _year_2012(settings: Settings) -> _Year:
    n = settings.trainval_2012
    rng = generator(settings.seed, Stream.FILES, 2012)
    years, numbers = np.sort(rng.integers(2008, 2012, n)), np.cumsum(rng.integers(1, 9, n))
    names = tuple(f"{year}_{number:06d}" for year, number in zip(years, numbers, strict=True))
    return _Year(2012, names, _halves([names[i] for i in rng.permutation(n)]))


def _halves(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    middle = len(names) // 2
    parts = {"train": names[:middle], "val": names[middle:], "trainval": names}
    return {name: tuple(sorted(part)) for name, part in parts.items()}


def _draw(job: _Job) -> tuple[tuple[int, int], list[_Object]]:
    """Draw a scene into its file; return its size and its objects, the nearest first."""
    rng = generator(job.seed, Stream.PICTURE, job.year, job.index)
    width, height = SIZES[rng.integers(len(SIZES))]
    found: list[Drawn] = []
    while not found:  # an object may lie all but outside the picture
        labels = [job.first_label, *rng.integers(len(CLASSES), size=rng.integers(0, 4)).tolist()]
        image, found = draw_scene(job.looks, labels, width, height, rng)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(75, 93)))
    job.path.write_bytes(buffer.getvalue())
    return (width, height), [_annotated(drawn, rng) for drawn in reversed(found)]


def _annotated(drawn: Drawn, rng: np.random.Generator) -> _Object:
    left, top, right, bottom = drawn.box
    is_small = (right - left) * (bottom - top) < SMALL and rng.uniform() < 0.5
    head = None
    if drawn.label == PERSON and rng.uniform() < 0.7:
        head = (left + 1, top + 1, right, top + max((bottom - top) // 3, 1))
    return _Object(
        drawn.label,
        POSES[rng.integers(len(POSES))],
        truncated=drawn.inside < 0.95,
        occluded=drawn.visible < 0.95,
        difficult=drawn.visible * drawn.inside < DIFFICULT_BELOW or is_small,
        box=(left + 1, top + 1, right, bottom),
        head=head,
    )


def _annotation(year: int, filename: str, size: tuple[int, int], objects: Sequence[_Object]) -> bytes:
    """The XML of one picture; the elements of an object stand in another order in 2012."""
    root = ElementTree.Element("annotation")
    _text(root, "folder", f"VOC{year}")
    _text(root, "filename", filename)
    source = ElementTree.SubElement(root, "source")
    challenge = 2007 if year == 2007 else 2008
    _text(source, "database", f"The VOC{challenge} Database")
    _text(source, "annotation", f"PASCAL VOC{challenge}")
    _text(source, "image", "drawn")
    picture = ElementTree.SubElement(root, "size")
    for tag, value in zip(("width", "height", "depth"), (*size, 3), strict=True):
        _text(picture, tag, value)
    _text(root, "segmented", 0)
    for found in objects:
        element = ElementTree.SubElement(root, "object")
        _text(element, "name", CLASSES[found.label])
        _text(element, "pose", found.pose)
        _text(element, "truncated", int(found.truncated))
        if year == 2007:
            _text(element, "difficult", int(found.difficult))
        else:
            _text(element, "occluded", int(found.occluded))
        _box(element, found.box)
        if year != 2007:
            _text(element, "difficult", int(found.difficult))
        if found.head:
            part = ElementTree.SubElement(element, "part")
            _text(part, "name", "head")
            _box(part, found.head)
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root) + b"\n"


def _write_sets(folder: Path, year: _Year, objects: dict[str, list[_Object]]) -> None:
    """Write each set's names, and for each class whether it is there: 1, -1, or 0 where only difficult."""
    for set_name, names in year.sets.items():
        (folder / f"{set_name}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        for label, class_name in enumerate(CLASSES):
            lines = [f"{name} {_presence(objects[name], label):2d}\n" for name in names]
            (folder / f"{class_name}_{set_name}.txt").write_text("".join(lines), encoding="utf-8")


def _presence(objects: Sequence[_Object], label: int) -> int:
    difficult = [found.difficult for found in objects if found.label == label]
    if not difficult:
        return -1
    return 0 if all(difficult) else 1


def _box(parent: ElementTree.Element, box: tuple[int, int, int, int]) -> None:
    element = ElementTree.SubElement(parent, "bndbox")
    for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
        _text(element, tag, value)


def _text(parent: ElementTree.Element, tag: str, value: object) -> None:
    ElementTree.SubElement(parent, tag).text = str(value)
