"""Write scenes as PASCAL VOC 2007 and 2012 are published.

The names of VOC's classes are a closed list, so here they stand for what the pictures do not show: each for
one kind of drawn object.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from cld.runtime.progress import progress
from data_prep.common.parallel import ordered_map
from data_prep.common.settings import Settings
from data_prep.synthetic.annotation_xml import annotation_xml, box_tag, size_tag
from data_prep.synthetic.pictures.class_looks import Look, class_looks
from data_prep.synthetic.pictures.drawing import Drawn, draw_scene
from data_prep.synthetic.pictures.random_numbers import Stream, generator

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
    """One picture to draw into ``path``; an object of ``first_label`` is in it."""

    looks: tuple[Look, ...]
    path: Path
    first_label: int
    numbers: tuple[int, ...]


def write_voc(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write ``VOCdevkit/VOC2007/`` and, without a test set, ``VOCdevkit/VOC2012/`` into ``root``."""
    looks = class_looks(len(CLASSES), settings.seed)
    for year, sets in ((2007, _sets_2007(settings)), (2012, _sets_2012(settings))):
        folder = root / "VOCdevkit" / f"VOC{year}"
        for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (folder / name).mkdir(parents=True)
        for name, members in sets.items():
            lines = "".join(f"{member}\n" for member in members)
            (folder / "ImageSets" / "Main" / f"{name}.txt").write_text(lines, encoding="utf-8")
        # every class comes first in some picture, so that none is missing even from a small set
        order = generator(settings.seed, Stream.LABELS, year).permutation(len(CLASSES))
        names = sorted((*sets["trainval"], *sets.get("test", ())))
        jobs = [
            _Job(
                looks,
                folder / "JPEGImages" / f"{name}.jpg",
                int(order[i % len(order)]),
                (settings.seed, Stream.PICTURE, year, i),
            )
            for i, name in enumerate(names)
        ]
        with progress(f"voc {year}", len(jobs), "pictures") as bar:
            for job, (size, objects) in zip(jobs, ordered_map(_draw, jobs, workers), strict=True):
                annotation = _annotation(year, job.path.name, size, objects)
                (folder / "Annotations" / f"{job.path.stem}.xml").write_bytes(annotation)
                bar.advance()


def _sets_2007(settings: Settings) -> dict[str, list[str]]:
    """Names of VOC2007's pictures, by set."""
    n = settings.trainval_2007 + settings.test_2007
    names = [f"{i + 1:06d}" for i in generator(settings.seed, Stream.FILES, 2007).permutation(n)]
    test = sorted(names[settings.trainval_2007 :])
    return _halves(names[: settings.trainval_2007]) | {"test": test}


def _sets_2012(settings: Settings) -> dict[str, list[str]]:
    """Names of VOC2012's pictures, by set."""
    n = settings.trainval_2012
    rng = generator(settings.seed, Stream.FILES, 2012)
    years, numbers = np.sort(rng.integers(2008, 2012, n)), np.cumsum(rng.integers(1, 9, n))
    names = [f"{year}_{number:06d}" for year, number in zip(years, numbers, strict=True)]
    return _halves([names[i] for i in rng.permutation(n)])


def _halves(names: list[str]) -> dict[str, list[str]]:
    middle = len(names) // 2
    return {"train": sorted(names[:middle]), "val": sorted(names[middle:]), "trainval": sorted(names)}


def _draw(job: _Job) -> tuple[tuple[int, int], list[_Object]]:
    """Draw a scene into its file; return its size and its objects, the nearest first."""
    rng = generator(*job.numbers)
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
    """The XML of one picture."""
    challenge = 2007 if year == 2007 else 2008
    source = [
        ("database", f"The VOC{challenge} Database"),
        ("annotation", f"PASCAL VOC{challenge}"),
        ("image", "drawn"),
    ]
    content = [
        ("folder", f"VOC{year}"),
        ("filename", filename),
        ("source", source),
        size_tag(*size),
        ("segmented", 0),
        *(("object", _object_tags(year, found)) for found in objects),
    ]
    return annotation_xml(content, "\t")


def _object_tags(year: int, found: _Object) -> list[tuple[str, object]]:
    """The elements of an object; they stand in another order in 2012."""
    tags = [("name", CLASSES[found.label]), ("pose", found.pose), ("truncated", int(found.truncated))]
    box, difficult = box_tag(found.box), ("difficult", int(found.difficult))
    tags += [difficult, box] if year == 2007 else [("occluded", int(found.occluded)), box, difficult]
    return [*tags, ("part", [("name", "head"), box_tag(found.head)])] if found.head else tags
