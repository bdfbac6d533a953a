"""Your own images: ``train/<class>/*`` and ``test/<class>/*``, perhaps ``val/…``; or ``<class>/*``, to split.

Of ``train`` and ``val`` without ``test``, ``val`` tests. Images are turned upright as EXIF says.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cld.config import load_dataset
from cld.data import Split, StoreInfo
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from data_prep.common.boxes import Box
from data_prep.common.build_record import BuildRecord, Problem, Target, problem
from data_prep.common.image_files import EncodedImage, resized
from data_prep.common.jpeg_store import Encoding, SourceImage, build_jpeg_store
from data_prep.common.parallel import ordered_map
from data_prep.common.settings import Settings
from data_prep.common.source_files import FileDigest, digest
from data_prep.image_folder.layout import read_tree
from data_prep.image_folder.splits import leaks, split_tree

#: What Linux says of its memory.
MEMINFO = Path("/proc/meminfo")


class Square(NamedTuple):
    """What one image gave."""

    pixels: np.ndarray  # uint8 (side, side, 3)
    file: FileDigest
    conversions: list[str]


def build_image_folder(root: str | Path, settings: Settings, target: Target, workers: int) -> StoreInfo:
    """Build a store from the images under ``root``.

    Raises:
        InputError: a missing folder or one laid out otherwise, fewer than two classes, a class with too few
            images or none to learn from: at once. More bad images than ``max_bad_share``: after all were
            tried.
    """
    root = Path(root)
    source = load_dataset(target.preset, target.dataset)["source"]
    tree = read_tree(root, f"data.paths.{source} of config/config.yaml")
    splits = split_tree(root, tree, settings)
    record = BuildRecord(root, target, settings, "images")
    for note in (*tree.notes, *leaks(root, splits)):
        record.warn(note)
    if settings.kind == "jpeg":
        images = {
            split: [SourceImage(path.relative_to(root).as_posix(), label, path) for path, label in group]
            for split, group in splits.items()
        }
        return build_jpeg_store(
            record, images, tree.classes, Encoding(settings.short_side, settings.quality), workers
        )
    return _build_arrays(record, splits, tree.classes, workers)


def cut_square(root: Path, side: int, fit: str, path: Path) -> Square | Problem:
    """Decode one image and cut its square; one that cannot be read is reported, never raised."""
    try:
        encoded = EncodedImage(path)
        # a reduced scale costs detail near its own limit: four times the side leaves that to the resampling
        image = encoded.colour(at_least=(4 * side, 4 * side))
    except InputError as error:
        name = path.relative_to(root).as_posix()
        return problem(name, path, root, "image unreadable", str(error))
    pixels = resized(image, square_region(image.width, image.height, fit), side)
    return Square(pixels, digest(path, root, encoded.content), encoded.conversions)


def square_region(width: int, height: int, fit: str) -> Box:
    """The region of an image that becomes a square: all of it, or its middle by its shorter side."""
    if fit != "crop":
        return Box(0, 0, width, height)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return Box(left, top, left + side, top + side)


def _build_arrays(
    record: BuildRecord,
    splits: Mapping[str, Sequence[tuple[Path, int]]],
    classes: Sequence[str],
    workers: int,
) -> StoreInfo:
    settings, side = record.settings, record.settings.image_size
    cut = partial(cut_square, record.root, side, settings.fit)
    arrays, names = {}, {}
    record.total = sum(map(len, splits.values()))
    _require_memory(record, side)
    with progress("read images", record.total, "images") as bar:
        for split, group in splits.items():
            # filled as they come: a list of squares would hold all of them twice
            pixels = np.empty((len(group), side, side, 3), dtype=np.uint8)
            labels, names[split] = [], []
            squares = ordered_map(cut, [path for path, _ in group], workers)
            for (path, label), square in zip(group, squares, strict=True):
                bar.advance()
                if isinstance(square, Problem):
                    record.problems.append(square)
                    continue
                record.converted.update(square.conversions)
                pixels[len(labels)] = square.pixels
                labels.append(label)
                names[split].append(path.relative_to(record.root).as_posix())
                record.files.append(square.file)
            arrays[split] = Split(pixels[: len(labels)], np.array(labels, dtype=np.int64))
    of_splits = {split: group.labels for split, group in arrays.items()}
    record.check_problems(settings.max_bad_share, classes=classes, labels=of_splits)
    return record.write_store_of_arrays(arrays, names, classes)


def _require_memory(record: BuildRecord, side: int) -> None:
    """Refuse images that would not fit into memory, before the kernel ends the build.

    A job's own limit, of a scheduler or a container, is not looked at.
    """
    if not MEMINFO.exists():
        return
    facts = dict(line.split(":") for line in MEMINFO.read_text(encoding="ascii").splitlines())
    needed, available = record.total * 3 * side**2, int(facts["MemAvailable"].split()[0]) * 1024
    if needed > available:
        raise InputError(
            f"{record.root}: {record.total} images of {side} x {side} pixels take {needed / 1e9:.1f} GB of "
            f"memory, and {available / 1e9:.1f} are available; lower build.image_size of "
            f"{record.target.dataset}, or set its build.kind to jpeg"
        )
