"""The images of each split with their annotated objects."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cld.data import Objects
from cld.runtime.errors import InputError
from data_prep.common.boxes import clip
from data_prep.common.build_record import Problem, problem
from data_prep.common.image_files import EncodedImage
from data_prep.common.jpeg_store import SourceImage
from data_prep.common.source_files import FileDigest, digest
from data_prep.common.voc_annotation import Annotation, read_annotation
from data_prep.voc.devkit import CLASSES, DevkitImage, ImageSet, check_year, read_image_set

LABELS = {name: label for label, name in enumerate(CLASSES)}


@dataclass
class Reading:
    """What reading one image's annotation gave."""

    image: SourceImage | None = None  # none where there is a problem
    annotation: FileDigest | None = None  # the file read, if it could be
    problems: list[Problem] = field(default_factory=list)
    boxes: Counter = field(default_factory=Counter)  # those not taken as they are, by what became of them


def list_splits(root: Path, splits: Mapping[str, Sequence[ImageSet]]) -> dict[str, list[DevkitImage]]:
    """The images of each split, in the order of its image sets.

    Raises:
        InputError: a folder or an image set is missing or broken, or an image is listed twice, in one split
            or in two.
    """
    listed_in: dict[DevkitImage, tuple[ImageSet, str]] = {}
    listed: dict[str, list[DevkitImage]] = {split: [] for split in splits}
    for split, image_sets in splits.items():
        for image_set in image_sets:
            check_year(root, image_set.year)
            for image in read_image_set(root, image_set):
                if image in listed_in:
                    set_before, split_before = listed_in[image]
                    raise InputError(
                        f"{image_set.path(root)}: image {image.image} of split '{split}' is in {set_before} "
                        f"of split '{split_before}' too; change 'train' or 'test' of the build settings, or "
                        "fetch the lists again"
                    )
                listed_in[image] = image_set, split
                listed[split].append(image)
    return listed


def read_annotated(image: DevkitImage) -> Reading:
    """Read one image's header and annotation; what is bad is reported, never raised."""
    reading = Reading()
    path = image.annotation

    def report(file: Path, reason: str, detail: str = "") -> None:
        reading.problems.append(problem(image.name, file, image.root, reason, detail))

    annotation = size = None
    try:
        content = path.read_bytes()
        reading.annotation = digest(path, image.root, content)
        annotation = read_annotation(path, content)
    except FileNotFoundError:
        report(path, "annotation missing")
    except (InputError, OSError) as error:
        report(path, "annotation unreadable", str(error))
    try:
        size = EncodedImage(image.path, image.path.read_bytes()).size
    except FileNotFoundError:
        report(image.path, "image missing")
    except (InputError, OSError) as error:
        report(image.path, "image unreadable", str(error))
    if annotation and size and annotation.size not in (None, size):
        width, height = annotation.size
        detail = f"{image.image} has {size[0]}×{size[1]} pixels, its annotation says {width}×{height}"
        report(path, "annotation of another image size", detail)
    for name in sorted({box.name for box in annotation.boxes} - LABELS.keys()) if annotation else ():
        near = difflib.get_close_matches(name, CLASSES, n=1)
        report(path, f"unknown class '{name}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
    if not reading.problems:
        reading.image = SourceImage(
            image.name, -1, image.path, objects=_objects(annotation, size, reading.boxes)
        )
    return reading


def _objects(annotation: Annotation, size: tuple[int, int], changed: Counter) -> Objects:
    """The objects as a store has them; counts what is dropped or clipped in ``changed``."""
    kept, edges = [], []
    for annotated in annotation.boxes:
        box = annotated.box
        inside = clip(box, *size)
        if box.width <= 0 or box.height <= 0:
            changed["dropped, since it is empty"] += 1
        elif inside.width <= 0 or inside.height <= 0:
            changed["dropped, since it is outside its image"] += 1
        else:
            changed["clipped at its image's border"] += inside != box
            kept.append(annotated)
            edges.append(inside)
    return Objects(
        boxes=np.array(edges, dtype=np.float32).reshape(-1, 4),
        labels=np.array([LABELS[annotated.name] for annotated in kept], dtype=np.int64),
        offsets=np.array([0, len(kept)], dtype=np.int64),
        difficult=np.array([annotated.difficult for annotated in kept], dtype=np.uint8),
        truncated=np.array([annotated.truncated for annotated in kept], dtype=np.uint8),
    )
