"""Your own images: ``train/<class>/*`` and ``test/<class>/*``, perhaps ``val/…``; or ``<class>/*``, to split.

    python -m data_prep build --preset paper --dataset folder --root photos \\
        --store folder.h5 --manifest folder.csv --report folder.md --workers 8

Of ``train`` and ``val`` without ``test``, ``val`` tests. Images are turned upright as EXIF says. The result
does not depend on ``workers``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cld.data import Split, StoreInfo
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from data_prep.common.array_build import finish_arrays
from data_prep.common.boxes import Box
from data_prep.common.command import parse_build
from data_prep.common.encoded_build import Encoding, SourceImage, build_encoded
from data_prep.common.image_files import EncodedImage, FileDigest, digest, resized
from data_prep.common.lock import only_build
from data_prep.common.parallel import ordered_map
from data_prep.common.problems import Problem, problem
from data_prep.common.record import BuildRecord
from data_prep.common.settings import Settings
from data_prep.common.target import Target
from data_prep.image_folder.layout import read_tree
from data_prep.image_folder.splits import leaks, split_tree


@dataclass(frozen=True)
class SquareJob:
    """One image to cut a square from, ``side`` pixels wide; ``fit`` as of ``Settings``."""

    root: Path
    path: Path
    side: int
    fit: str


@dataclass
class Square:
    """What one image gave: ``pixels`` uint8 (side, side, 3), or None and a problem."""

    pixels: np.ndarray | None = None
    file: FileDigest | None = None
    problems: list[Problem] = field(default_factory=list)
    conversions: list[str] = field(default_factory=list)


def build_image_folder(root: str | Path, settings: Settings, target: Target, workers: int) -> StoreInfo:
    """Build a store from the images under ``root``.

    Raises:
        InputError: a missing folder or one laid out otherwise, fewer than two classes, a class with too few
            images or none to learn from: at once. More bad images than ``max_bad_share``: after all were
            tried.
    """
    root = Path(root)
    tree = read_tree(root)
    splits = split_tree(root, tree, settings)
    record = BuildRecord(root, target, settings, "images")
    record.notes += tree.notes + leaks(root, splits)
    if settings.kind == "jpeg":
        images = {
            split: [SourceImage(path.relative_to(root).as_posix(), label, path) for path, label in group]
            for split, group in splits.items()
        }
        return build_encoded(
            record,
            images,
            tree.classes,
            Encoding(settings.short_side, settings.quality),
            workers=workers,
            max_bad_share=settings.max_bad_share,
        )
    with only_build(target.store):
        return _build_arrays(record, settings, splits, tree.classes, workers)


def cut_square(job: SquareJob) -> Square:
    """Decode one image and cut its square; one that cannot be read is reported, never raised."""
    name = job.path.relative_to(job.root).as_posix()
    try:
        encoded = EncodedImage(job.path)
        # what decoding at a reduced scale leaves is resampled once more: twice the side is enough for that
        image = encoded.colour(at_least=(2 * job.side, 2 * job.side))
    except InputError as error:
        return Square(problems=[problem(name, job.path, job.root, "image unreadable", str(error))])
    pixels = resized(image, square_region(*image.size, job.fit), job.side)
    return Square(pixels, digest(job.path, job.root, encoded.content), conversions=encoded.conversions)


def square_region(width: int, height: int, fit: str) -> Box:
    """The region of an image that becomes a square: all of it, or its middle by its shorter side."""
    if fit != "crop":
        return Box(0, 0, width, height)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return Box(left, top, left + side, top + side)


def main() -> None:
    """The command ``python -m data_prep build``."""
    build_image_folder(**parse_build(__doc__))


def _build_arrays(
    record: BuildRecord,
    settings: Settings,
    splits: Mapping[str, Sequence[tuple[Path, int]]],
    classes: Sequence[str],
    workers: int,
) -> StoreInfo:
    ordered = [(split, path, label) for split, group in splits.items() for path, label in group]
    side = settings.image_size
    jobs = [SquareJob(record.root, path, side, settings.fit) for _, path, _ in ordered]
    pixels = {split: np.empty((len(group), side, side, 3), dtype=np.uint8) for split, group in splits.items()}
    labels, names = {split: [] for split in splits}, {split: [] for split in splits}
    record.total = len(jobs)
    with progress("read images", len(jobs), "images") as bar:
        squares = ordered_map(cut_square, jobs, workers)
        for (split, path, label), square in zip(ordered, squares, strict=True):
            record.log.extend(square.problems)
            record.converted.update(square.conversions)
            if square.pixels is not None:
                pixels[split][len(labels[split])] = square.pixels
                labels[split].append(label)
                names[split].append(path.relative_to(record.root).as_posix())
                record.files.append(square.file)
            bar.advance()
    arrays = {split: np.array(values, dtype=np.int64) for split, values in labels.items()}
    record.check_problems(settings.max_bad_share, classes=classes, labels=arrays)
    return finish_arrays(
        record,
        {split: Split(pixels[split][: len(arrays[split])], arrays[split]) for split in splits},
        names,
        classes,
        mean=settings.mean,
        std=settings.std,
    )
