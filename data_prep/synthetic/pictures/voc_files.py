"""Write scenes as PASCAL VOC 2007 and 2012 are published.

VOC's class names are fixed, so each stands for one kind of drawn object.
"""

from functools import partial
from pathlib import Path

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


def write_voc(root: Path, settings: Settings, workers: int = 1) -> None:
    """Write ``VOCdevkit/VOC2007/`` and, without a test set, ``VOCdevkit/VOC2012/`` into ``root``."""
    looks = class_looks(len(CLASSES), settings.seed)
    for year in (2007, 2012):
        folder = root / "VOCdevkit" / f"VOC{year}"
        for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (folder / name).mkdir(parents=True)
        sets = _image_sets(settings, year)
        for name, members in sets.items():
            lines = "".join(f"{member}\n" for member in members)
            (folder / "ImageSets" / "Main" / f"{name}.txt").write_text(lines, encoding="utf-8")
        # every class comes first in some picture, so that none is missing even from a small set
        order = generator(settings.seed, Stream.LABELS, year).permutation(len(CLASSES))
        names = sorted((*sets["trainval"], *sets.get("test", ())))
        jobs = [(i, name, int(order[i % len(order)])) for i, name in enumerate(names)]
        write = partial(_write_picture, folder, year, looks, settings.seed)
        with progress(f"voc {year}", len(jobs), "pictures") as bar:
            for _ in ordered_map(write, jobs, workers):
                bar.advance()


def _image_sets(settings: Settings, year: int) -> dict[str, list[str]]:
    """Names of a year's pictures, by set; 2012 has no test set."""
    rng = generator(settings.seed, Stream.FILES, year)
    if year == 2007:
        n = settings.trainval_2007
        names = [f"{i + 1:06d}" for i in range(n + settings.test_2007)]
    else:
        n = settings.trainval_2012
        years, numbers = np.sort(rng.integers(2008, 2012, n)), np.cumsum(rng.integers(1, 9, n))
        names = [f"{taken}_{number:06d}" for taken, number in zip(years, numbers, strict=True)]
    names = rng.permutation(names).tolist()
    sets = {"train": names[: n // 2], "val": names[n // 2 : n], "trainval": names[:n]}
    if year == 2007:
        sets["test"] = names[n:]
    return {name: sorted(members) for name, members in sets.items()}


def _write_picture(
    folder: Path, year: int, looks: tuple[Look, ...], seed: int, job: tuple[int, str, int]
) -> None:
    """Draw a scene and write it with its annotation, the nearest objects first.

    ``job`` is the picture's index and name, and the class of one object in it.
    """
    index, name, first_label = job
    rng = generator(seed, Stream.PICTURE, year, index)
    width, height = SIZES[rng.integers(len(SIZES))]
    found: list[Drawn] = []
    while not found:  # an object may lie all but outside the picture
        labels = [first_label, *rng.integers(len(CLASSES), size=rng.integers(0, 4)).tolist()]
        image, found = draw_scene(looks, labels, width, height, rng)
    path = folder / "JPEGImages" / f"{name}.jpg"
    Image.fromarray(image).save(path, quality=int(rng.integers(75, 93)))
    challenge = f"VOC{min(year, 2008)}"
    source = [("database", f"The {challenge} Database"), ("annotation", f"PASCAL {challenge}")]
    content = [
        ("folder", f"VOC{year}"),
        ("filename", path.name),
        ("source", [*source, ("image", "drawn")]),
        size_tag(width, height),
        ("segmented", 0),
        *(("object", _object_tags(drawn, year, rng)) for drawn in reversed(found)),
    ]
    (folder / "Annotations" / f"{name}.xml").write_bytes(annotation_xml(content, "\t"))


def _object_tags(drawn: Drawn, year: int, rng: np.random.Generator) -> list[tuple[str, object]]:
    """The elements of an object; they stand in another order in 2012."""
    left, top, right, bottom = drawn.box
    is_small = (right - left) * (bottom - top) < SMALL and rng.uniform() < 0.5
    has_head = drawn.label == PERSON and rng.uniform() < 0.7
    box = box_tag(*drawn.box)
    difficult = ("difficult", int(drawn.visible * drawn.inside < DIFFICULT_BELOW or is_small))
    occluded = ("occluded", int(drawn.visible < 0.95))
    tags = [
        ("name", CLASSES[drawn.label]),
        ("pose", POSES[rng.integers(len(POSES))]),
        ("truncated", int(drawn.inside < 0.95)),
        *([difficult, box] if year == 2007 else [occluded, box, difficult]),
    ]
    if has_head:
        head = box_tag(left, top, right, top + max((bottom - top) // 3, 1))
        tags.append(("part", [("name", "head"), head]))
    return tags
