"""The devkit's layout: ``VOCdevkit/VOC<year>`` with Annotations, ImageSets/Main and JPEGImages."""

from pathlib import Path
from typing import NamedTuple

from cld.runtime.errors import InputError
from data_prep.common.source_files import FETCH_AGAIN, FileDigest, read_file, require_folder

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


def image_path(root: Path, year: int, image: str) -> Path:
    """The image ``image`` ("000005")."""
    return _year(root, year) / "JPEGImages" / f"{image}.jpg"


def annotation_path(root: Path, year: int, image: str) -> Path:
    """Its annotation."""
    return _year(root, year) / "Annotations" / f"{image}.xml"


def image_set_path(root: Path, image_set: ImageSet) -> Path:
    """The list of an image set."""
    return _year(root, image_set.year) / "ImageSets" / "Main" / f"{image_set.name}.txt"


def check_year(root: Path, year: int) -> None:
    """Check that a year's folders are there.

    Raises:
        InputError: one is not; says what to fetch.
    """
    for name in ("", "Annotations", "JPEGImages", "ImageSets/Main"):
        require_folder(root, (_year(Path(), year) / name).as_posix())


def read_image_set(root: Path, image_set: ImageSet) -> tuple[list[str], FileDigest]:
    """The images of a set, in the file's order, and what was read.

    Raises:
        InputError: there is no such set, it is empty, or a line is not one image's name.
    """
    path = image_set_path(root, image_set)
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.txt") if "_" not in file.stem)
        raise InputError(
            f"{path}: no such image set; VOC{image_set.year} has {', '.join(known) or 'none'}: name one of "
            f"them, or fetch the others (python -m data_prep fetch)"
        )
    content, digest = read_file(path, root, None)
    images = []
    for number, line in enumerate(content.decode("utf-8-sig", errors="replace").splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) > 1 or Path(fields[0]).name != fields[0] or "\ufffd" in line or "\0" in line:
            raise InputError(
                f"{path}, line {number}: {line.strip()!r} is not the name of an image; {FETCH_AGAIN}"
            )
        images.append(fields[0])
    if not images:
        raise InputError(f"{path}: names no image; {FETCH_AGAIN}")
    return images, digest


def _year(root: Path, year: int) -> Path:
    return root / "VOCdevkit" / f"VOC{year}"
