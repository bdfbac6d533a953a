"""The devkit's layout: ``VOCdevkit/VOC<year>`` with Annotations, ImageSets/Main and JPEGImages."""

import re
from pathlib import Path
from typing import NamedTuple

from cld.runtime.errors import InputError
from data_prep.common.source_files import FETCH_AGAIN, read_lines, require_folder

#: The classes, in the order of the devkit and of the labels.
CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)


class ImageSet(NamedTuple):
    """A list of images: ``ImageSets/Main/<name>.txt`` of one year."""

    year: int
    name: str

    def __str__(self) -> str:
        return f"VOC{self.year} {self.name}"

    def path(self, root: Path) -> Path:
        return _year(root, self.year) / "ImageSets" / "Main" / f"{self.name}.txt"


class DevkitImage(NamedTuple):
    """An image of the devkit under ``root``: "000005" of 2007."""

    root: Path
    year: int
    image: str

    @property
    def path(self) -> Path:
        return _year(self.root, self.year) / "JPEGImages" / f"{self.image}.jpg"

    @property
    def annotation(self) -> Path:
        return _year(self.root, self.year) / "Annotations" / f"{self.image}.xml"

    @property
    def name(self) -> str:
        """What manifest and report call it."""
        return self.path.relative_to(self.root).as_posix()


def check_year(root: Path, year: int) -> None:
    """Check that a year's folders are there; an InputError says what to fetch."""
    for name in ("", "Annotations", "JPEGImages", "ImageSets/Main"):
        require_folder(root, (_year(Path(), year) / name).as_posix())


def read_image_set(root: Path, image_set: ImageSet) -> list[DevkitImage]:
    """The images of a set, in the file's order.

    Raises:
        InputError: there is no such set, it is empty, or a line is not one image's name.
    """
    path = image_set.path(root)
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.txt") if "_" not in file.stem)
        raise InputError(
            f"{path}: no such image set; VOC{image_set.year} has {', '.join(known) or 'none'}: name one of "
            f"them, or fetch the others (python -m data_prep fetch)"
        )
    images = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        if not re.fullmatch(r"\w+", line.strip()):
            raise InputError(
                f"{path}, line {number}: {line.strip()!r} is not the name of an image; {FETCH_AGAIN}"
            )
        images.append(DevkitImage(root, image_set.year, line.strip()))
    if not images:
        raise InputError(f"{path}: names no image; {FETCH_AGAIN}")
    return images


def _year(root: Path, year: int) -> Path:
    return root / "VOCdevkit" / f"VOC{year}"
