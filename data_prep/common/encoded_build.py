"""Building a store of JPEGs of any size: in parts, by several processes, going on where a killed build ended.

What is done lies as parts beside the store, in ``<store>.parts``, until the store is written. A part is used
again while what it was made from is unchanged (names, sizes, times, settings, code): neither a kill nor the
number of processes changes a byte of the store.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cld.data import EncodedSplit, Objects, StoreInfo, write_encoded_store
from cld.runtime.errors import InputError
from cld.runtime.files import writing
from cld.runtime.progress import progress
from data_prep.common.array_build import missing_classes, require_images
from data_prep.common.image_files import EncodedImage, FileDigest
from data_prep.common.image_objects import joined
from data_prep.common.image_tree import require_utf8
from data_prep.common.jpeg_encoding import Encoding
from data_prep.common.lock import only_build
from data_prep.common.manifest import write_manifest
from data_prep.common.parallel import ordered_map
from data_prep.common.parts import Part, PartJob, SourceImage, make_part
from data_prep.common.problems import Problem
from data_prep.common.record import BuildRecord
from data_prep.common.report import write_report

__all__ = ["Encoding", "SourceImage", "build_encoded"]

PART_IMAGES = 256
SAMPLED_IMAGES = 500
GIGABYTE = 1e9


def build_encoded(
    record: BuildRecord,
    images: Mapping[str, Sequence[SourceImage]],
    classes: Sequence[str],
    encoding: Encoding,
    *,
    workers: int,
    max_bad_share: float,
) -> StoreInfo:
    """Encode the images, and write manifest, report and, last, the store.

    Args:
        record: of the build; gets the files read, the problems and the conversions; its ``total``, where it
            is set, counts what the caller has left out already.
        images: by split, in the store's order; names are unique over all splits. Where one image of a split
            has objects, an image of it without any is one that shows none.
        classes: names, in the order of the labels.
        encoding: how images are stored.
        workers: processes.
        max_bad_share: of all images, 0..1, that may be unreadable and are then left out.

    Raises:
        InputError: a split is empty, a name stands twice or is not UTF-8, the disk has too little room,
            another process builds the store: at once. Too many bad images: after all were tried, with the
            report written; parts stay, and the next build makes only the bad ones again.
    """
    n_images = sum(map(len, images.values()))
    record.total = record.total or n_images
    require_images(record, images)
    _require_names(record, images)
    store = record.target.store
    folder = Path(f"{store}.parts")
    jobs = {split: _jobs(folder, split, group, encoding) for split, group in images.items()}
    with only_build(store), writing(store):
        folder.mkdir(parents=True, exist_ok=True)
        for half in folder.glob(".*"):  # what a killed build was writing
            half.unlink(missing_ok=True)
        _require_space(folder, images, encoding)
        parts = _parts(jobs, n_images, workers)
        info = _joined(record, jobs, parts, classes, encoding, max_bad_share)
        shutil.rmtree(folder, ignore_errors=True)
    return info


def _parts(jobs: Mapping[str, Sequence[PartJob]], total: int, workers: int) -> dict[str, list[Part]]:
    with progress("encode", total, "images") as bar:
        parts: dict[str, list[Part]] = {split: [] for split in jobs}
        ordered = [(split, job) for split, group in jobs.items() for job in group]
        made = ordered_map(make_part, [job for _, job in ordered], workers, chunk=1)
        for (split, job), part in zip(ordered, made, strict=True):
            parts[split].append(part)
            bar.advance(len(job.images))
    return parts


def _joined(
    record: BuildRecord,
    jobs: Mapping[str, Sequence[PartJob]],
    parts: Mapping[str, Sequence[Part]],
    classes: Sequence[str],
    encoding: Encoding,
    max_bad_share: float,
) -> StoreInfo:
    kept = {
        split: [job.images[row] for job, part in zip(jobs[split], group, strict=True) for row in part.rows]
        for split, group in parts.items()
    }
    labels = {split: _labels(group) for split, group in kept.items()}
    for split, group in parts.items():
        for job, part in zip(jobs[split], group, strict=True):
            record.log.extend(_problem(job.images[row].name, detail) for row, detail in part.problems)
            record.converted.update(part.converted)
            record.files += [
                FileDigest(job.images[row].name, size, sha256)
                for row, (size, sha256) in zip(part.rows, part.sources, strict=True)
            ]
    record.check_problems(max_bad_share, classes=classes, labels=labels)
    record.notes += missing_classes(labels, classes)
    names = {split: [image.name for image in group] for split, group in kept.items()}
    write_manifest(record.target.manifest, names, labels, classes)
    write_report(record.target.report, record.facts("built", classes, labels))
    splits = {
        split: EncodedSplit(
            parts=[job.jpegs for job in jobs[split]],
            lengths=np.concatenate([np.array(part.lengths, dtype=np.int64) for part in group]),
            digests=_digests(group),
            labels=labels[split],
            objects=_objects(group),
        )
        for split, group in parts.items()
    }
    description = record.description(classes)
    description["config"] |= asdict(encoding)
    return write_encoded_store(record.target.store, splits, **description)


def _jobs(folder: Path, split: str, images: Sequence[SourceImage], encoding: Encoding) -> list[PartJob]:
    return [
        PartJob(folder / f"{split}-{start // PART_IMAGES:05d}", images[start : start + PART_IMAGES], encoding)
        for start in range(0, len(images), PART_IMAGES)
    ]


def _labels(images: Sequence[SourceImage]) -> np.ndarray:
    return np.fromiter((image.label for image in images), np.int64, len(images))


def _digests(parts: Sequence[Part]) -> np.ndarray:
    digests = b"".join(bytes.fromhex(digest) for part in parts for digest in part.digests)
    return np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32)


def _objects(parts: Sequence[Part]) -> Objects | None:
    """The objects of a split; a part whose images have none counts as so many images without."""
    return joined(
        [one for part in parts for one in ([part.objects] if part.objects else [None] * len(part.rows))]
    )


def _problem(name: str, detail: str) -> Problem:
    return Problem(unit=name, path=name, reason="image unreadable", detail=detail)


def _require_names(record: BuildRecord, images: Mapping[str, Sequence[SourceImage]]) -> None:
    """Check that names are text, and unique."""
    seen: set[str] = set()
    for split, group in images.items():
        for image in group:
            if image.name in seen:
                raise InputError(
                    f"{record.root}: {image.name} is listed twice, the second time in split '{split}'; "
                    "list it once"
                )
            require_utf8(str(record.root), image.name)
            seen.add(image.name)


def _require_space(folder: Path, images: Mapping[str, Sequence[SourceImage]], encoding: Encoding) -> None:
    """Parts and store lie side by side for a while; parts that are there already need no more room."""
    there = sum(file.stat().st_size for file in folder.iterdir())
    needed = 2 * sum(_estimated_bytes(group, encoding) for group in images.values()) - there
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder.parent}: needs about {needed / GIGABYTE:.2f} GB of room, since parts and store lie "
            f"side by side, and {free / GIGABYTE:.2f} GB are free; free some, or set results in "
            "config/config.yaml to another disk"
        )


def _estimated_bytes(images: Sequence[SourceImage], encoding: Encoding) -> float:
    """From a sample: a million files are not asked for their sizes one by one."""
    sample = images[:: max(1, len(images) // SAMPLED_IMAGES)]
    return len(images) / len(sample) * sum(_stored_bytes(image, encoding) for image in sample)


def _stored_bytes(image: SourceImage, encoding: Encoding) -> float:
    try:
        size = os.stat(image.path).st_size if image.size is None else image.size
        if encoding.short_side is None:
            return size
        short = min(EncodedImage(Path(image.name), image.content()).size)
    except (OSError, InputError):
        return 0
    # shrunk images have more bytes a pixel: their bytes go down with the side rather than with the area
    return size * min(1.0, encoding.short_side / short)
