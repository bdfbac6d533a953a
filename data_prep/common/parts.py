"""Parts of a store of JPEGs: a few hundred images each, made once, kept over a kill, joined at the end.

A part is two files: the JPEGs end to end (``<part>.jpegs``), and its index (``<part>.json``), which is
written last and says what the part was made from.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image, features

from cld.data import Objects
from cld.runtime.errors import InputError
from cld.runtime.files import atomic_path, write_text
from data_prep.common.image_files import EncodedImage
from data_prep.common.image_objects import joined, moved
from data_prep.common.jpeg_encoding import Encoding, as_jpeg

#: Changed with the code that makes a part: parts of another version are made again.
VERSION = 3
#: Pictures are encoded alike only by the same libraries.
CODEC = (Image.__version__, features.version("jpg"))


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image upstream: a file, or a piece of one.

    Attributes:
        name: its path upstream, with slashes, for the manifest and for messages.
        label: index of its class; -1: it has none.
        path: the file that holds its bytes; text does as well, and is smaller where there are a million.
        offset: where in the file it begins (a member of an uncompressed tar).
        size: its bytes; None: the whole file.
        objects: its annotated objects, boxes in upstream pixels (offsets [0, K]).
    """

    name: str
    label: int
    path: Path | str
    offset: int = 0
    size: int | None = None
    objects: Objects | None = None

    def content(self) -> bytes:
        """Read its bytes.

        Raises:
            InputError: they cannot be read, or the file ends before them.
        """
        try:
            with open(self.path, "rb", buffering=0) as file:
                if self.size is None:
                    return file.readall()
                file.seek(self.offset)
                content = file.read(self.size)
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({error.strerror or error})") from error
        if len(content) != self.size:
            raise InputError(f"{self.name}: {Path(self.path).name} ends before it does; fetch that again")
        return content


@dataclass(frozen=True)
class PartJob:
    """What a part is made from, and where.

    Attributes:
        path: of the part's files, without their suffixes.
        images: in their order.
        encoding: how they are stored.
    """

    path: Path
    images: Sequence[SourceImage]
    encoding: Encoding

    @property
    def jpegs(self) -> Path:
        """The file of the JPEGs, end to end."""
        return Path(f"{self.path}.jpegs")

    @property
    def index(self) -> Path:
        """The file of the part's index."""
        return Path(f"{self.path}.json")

    def fingerprint(self) -> str:
        """A checksum of all that the part's content depends on, but for the files' content."""
        digest = hashlib.sha256(repr((VERSION, CODEC, self.encoding)).encode())
        for image in self.images:
            digest.update(repr((image.name, image.offset, image.size, *_state(image.path))).encode())
            if image.objects is not None:
                for array in image.objects.arrays().values():
                    digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()


@dataclass(frozen=True)
class Part:
    """A part's index.

    Attributes:
        fingerprint: of the job that made it.
        rows: the job's images that are kept, by their indices.
        lengths: bytes of each JPEG that is kept.
        digests: SHA-256 of each JPEG that is kept.
        sources: size and SHA-256 of the upstream bytes of each image that is kept.
        problems: (row, detail) of each image that is not.
        converted: images stored otherwise than they came, by what was done.
        objects: of the images that are kept, boxes in stored pixels.
    """

    fingerprint: str
    rows: list[int]
    lengths: list[int]
    digests: list[str]
    sources: list[tuple[int, str]]
    problems: list[tuple[int, str]]
    converted: dict[str, int]
    objects: Objects | None

    def text(self) -> str:
        """As JSON."""
        objects = self.objects and {name: array.tolist() for name, array in asdict(self.objects).items()}
        return json.dumps({**vars(self), "objects": objects})

    @classmethod
    def read(cls, path: Path) -> "Part | None":
        """Read an index; None where there is none that can be read."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["objects"] is not None:
                values["objects"] = _objects(values["objects"])
            return cls(**values)
        except (OSError, ValueError, KeyError, TypeError):
            return None


def make_part(job: PartJob) -> Part:
    """Make a part, or find it made. One with a problem is made again: its file may have been mended.

    Raises:
        OSError: the part cannot be written.
    """
    fingerprint = job.fingerprint()
    found = Part.read(job.index)
    if found is not None and _still_holds(found, job, fingerprint):
        return found
    job.index.unlink(missing_ok=True)  # before the bytes it tells of are replaced
    part = Part(fingerprint, [], [], [], [], [], {}, None)
    converted, objects = Counter(), []
    with atomic_path(job.jpegs, durable=False) as temporary, open(temporary, "wb") as file:
        for row, source in enumerate(job.images):
            try:
                content = source.content()
                jpeg = as_jpeg(EncodedImage(Path(source.name), content), job.encoding)
            except InputError as error:
                part.problems.append((row, str(error)))
                continue
            file.write(jpeg.content)
            part.rows.append(row)
            part.lengths.append(len(jpeg.content))
            came_as = hashlib.sha256(content).hexdigest()
            part.sources.append((len(content), came_as))
            is_verbatim = jpeg.content is content
            part.digests.append(came_as if is_verbatim else hashlib.sha256(jpeg.content).hexdigest())
            converted.update(jpeg.conversions)
            objects.append(source.objects and moved(source.objects, jpeg))
    part = Part(**{**vars(part), "converted": dict(sorted(converted.items())), "objects": joined(objects)})
    write_text(job.index, part.text())
    return part


def _still_holds(part: Part, job: PartJob, fingerprint: str) -> bool:
    if part.fingerprint != fingerprint or part.problems:
        return False
    try:
        with open(job.jpegs, "rb") as file:
            found = [
                hashlib.sha256(file.read(n)).hexdigest() == d
                for n, d in zip(part.lengths, part.digests, strict=True)
            ]
            return all(found) and not file.read(1)
    except (OSError, ValueError):
        return False


def _state(path: Path | str) -> tuple[int, int] | tuple[()]:
    """Size and time of a file; nothing where it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_size, status.st_mtime_ns


def _objects(values: dict[str, list]) -> Objects:
    types = {"boxes": np.float32, "labels": np.int64, "offsets": np.int64}
    arrays = {
        field.name: np.array(values[field.name], types.get(field.name, np.uint8)) for field in fields(Objects)
    }
    return Objects(**{**arrays, "boxes": arrays["boxes"].reshape(-1, 4)})
