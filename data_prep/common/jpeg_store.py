"""Building a store of JPEGs of any size: in parts, by several processes, resumable after a kill.

A part is some hundred images, in two files in ``<store>.parts`` until the store is written: the JPEGs end to
end (``.jpegs``), and an index (``.json``), written last. A part is used again while what it was made from is
unchanged (names, sizes, times, encoding, code): neither a kill nor the number of processes changes a byte of
the store.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from cld.data import EncodedSplit, Objects, StoreInfo, write_encoded_store
from cld.runtime.errors import InputError
from cld.runtime.files import atomic_path, write_text, writing
from cld.runtime.progress import progress
from data_prep.common.build_record import BuildRecord, Problem
from data_prep.common.image_files import EncodedImage
from data_prep.common.image_objects import joined, moved
from data_prep.common.jpeg_encoding import Encoding, as_jpeg
from data_prep.common.parallel import ordered_map
from data_prep.common.source_files import FileDigest

PART_IMAGES = 256
#: Changed with the code that makes a part; and pictures are encoded alike only by the same libraries.
VERSION = (5, Image.__version__, features.version("jpg"))


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image upstream: a file, or a piece of one (a member of an uncompressed tar)."""

    name: str  # its path upstream, with slashes, for the manifest and for messages
    label: int  # index of its class; -1: it has none
    path: Path | str  # of the file that holds its bytes; text is smaller where there are a million
    offset: int = 0  # where in the file it begins
    size: int | None = None  # its bytes; None: the whole file
    objects: Objects | None = None  # annotated, boxes in upstream pixels (offsets [0, K])

    def content(self) -> bytes:
        """Read its bytes.

        Raises:
            InputError: they cannot be read, or the file ends before them.
        """
        try:
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self.offset)
                content = file.read(-1 if self.size is None else self.size)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({error.strerror or error})") from error
        if self.size not in (None, len(content)):
            raise InputError(f"{self.name}: {Path(self.path).name} ends before it does; fetch that again")
        return content


class StoredImage(NamedTuple):
    """What a part's index says of an image that is kept: bytes and checksum, as stored and upstream."""

    row: int  # of the part's images
    length: int
    sha256: str
    source_length: int
    source_sha256: str
    #: Where it has objects: (width, height) before, EXIF's orientation, (width, height) as stored.
    turn: tuple[tuple[int, int], int, tuple[int, int]] | None


@dataclass(frozen=True)
class Part:
    """A part of a split: its images, how they are encoded, and where its files lie, less their suffixes."""

    split: str
    path: Path
    images: Sequence[SourceImage]
    encoding: Encoding

    @property
    def jpegs(self) -> Path:
        return self.path.with_suffix(".jpegs")

    @property
    def index(self) -> Path:
        return self.path.with_suffix(".json")

    def fingerprint(self) -> str:
        """A checksum of all that the part depends on, but for the files' content."""
        digest = hashlib.sha256(repr((VERSION, self.encoding)).encode())
        for image in self.images:
            digest.update(repr((image.name, image.offset, image.size, _state(image.path))).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Index:
    """A part's index."""

    fingerprint: str
    images: list[StoredImage]
    problems: list[tuple[int, str]]  # (row, detail)
    converted: dict[str, int]


def build_jpeg_store(
    record: BuildRecord,
    images: Mapping[str, Sequence[SourceImage]],
    classes: Sequence[str],
    encoding: Encoding,
    workers: int = 1,
) -> StoreInfo:
    """Encode the images, and write manifest, report and, last, the store.

    Args:
        record: of the build; gets the files read, the problems and the conversions; its ``total``, where it
            is set, counts what the caller has left out already.
        images: by split, in the store's order; all or none of a split's have ``objects``.

    Raises:
        InputError: a split is empty, or there are more bad images than the settings' ``max_bad_share``: after
            all were tried, with the report written. Parts stay; the next build makes the bad ones again.
    """
    record.total = record.total or sum(map(len, images.values()))
    folder = Path(f"{record.target.store}.parts")
    parts = [
        Part(split, folder / f"{split}-{n:05d}", group[n * PART_IMAGES : (n + 1) * PART_IMAGES], encoding)
        for split, group in images.items()
        for n in range(-(-len(group) // PART_IMAGES))
    ]
    with writing(record.target.store):
        folder.mkdir(parents=True, exist_ok=True)
        for half in folder.glob(".*"):  # what a killed build was writing
            half.unlink(missing_ok=True)
        indices = []
        with progress("encode", sum(map(len, images.values())), "images") as bar:
            for part, index in zip(parts, ordered_map(make_part, parts, workers, chunk=1), strict=True):
                indices.append(index)
                bar.advance(len(part.images))
        info = _join(record, parts, indices, classes)
        shutil.rmtree(folder, ignore_errors=True)
    return info


def make_part(part: Part) -> Index:
    """Make a part, or find it made. One with a problem is made again: its file may have been fixed.

    Raises:
        OSError: the part cannot be written.
    """
    fingerprint = part.fingerprint()
    found = _read_index(part)
    if found is not None and found.fingerprint == fingerprint and not found.problems:
        return found
    part.index.unlink(missing_ok=True)  # before the bytes it describes are replaced
    images, problems, converted = [], [], Counter()
    with atomic_path(part.jpegs) as temporary, open(temporary, "wb") as file:
        for row, source in enumerate(part.images):
            try:
                content = source.content()
                jpeg = as_jpeg(EncodedImage(Path(source.name), content), part.encoding)
            except InputError as error:
                problems.append((row, str(error)))
                continue
            file.write(jpeg.content)
            upstream = stored = hashlib.sha256(content).hexdigest()
            if jpeg.content is not content:
                stored = hashlib.sha256(jpeg.content).hexdigest()
            turn = (jpeg.size_before, jpeg.orientation, jpeg.size) if source.objects else None
            images.append(StoredImage(row, len(jpeg.content), stored, len(content), upstream, turn))
            converted.update(jpeg.conversions)
    index = Index(fingerprint, images, problems, dict(sorted(converted.items())))
    write_text(part.index, json.dumps(vars(index)))
    return index


def _read_index(part: Part) -> Index | None:
    """The index of a part; None where there is none, or its JPEGs are not there."""
    try:
        values = json.loads(part.index.read_text(encoding="utf-8"))
        values["images"] = [StoredImage(*image) for image in values["images"]]
        index = Index(**values)
        is_whole = part.jpegs.stat().st_size == sum(image.length for image in index.images)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return index if is_whole else None


def _state(path: Path | str) -> tuple[int, int] | None:
    """Size and time of a file; None where it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _join(
    record: BuildRecord, parts: Sequence[Part], indices: Sequence[Index], classes: Sequence[str]
) -> StoreInfo:
    """Write manifest, report and store from the parts."""
    names, labels, splits = {}, {}, {}
    for split, group in groupby(zip(parts, indices, strict=True), lambda made: made[0].split):
        files, kept, objects = [], [], []
        for part, index in group:
            files.append(part.jpegs)
            for row, detail in index.problems:
                name = part.images[row].name
                record.problems.append(Problem(name, name, "image unreadable", detail))
            record.converted.update(index.converted)
            for image in index.images:
                source = part.images[image.row]
                kept.append((source, image))
                record.files.append(FileDigest(source.name, image.source_length, image.source_sha256))
                if source.objects:
                    objects.append(moved(source.objects, *image.turn))
        names[split] = [source.name for source, _ in kept]
        labels[split] = np.fromiter((source.label for source, _ in kept), np.int64, len(kept))
        digests = b"".join(bytes.fromhex(image.sha256) for _, image in kept)
        splits[split] = EncodedSplit(
            parts=files,
            lengths=np.fromiter((image.length for _, image in kept), np.int64, len(kept)),
            digests=np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32),
            labels=labels[split],
            objects=joined(objects) if objects else None,
        )
    record.check_problems(record.settings.max_bad_share, classes=classes, labels=labels)
    record.write_manifest_and_report(names, labels, classes)
    description = record.description(classes)
    description["config"] |= asdict(parts[0].encoding)
    return write_encoded_store(record.target.store, splits, **description)
