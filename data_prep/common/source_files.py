"""Files as a publisher ships them, read once: what is hashed is what is used."""

import hashlib
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cld.config import load_source
from cld.runtime.errors import InputError

FETCH_AGAIN = "fetch it again (python -m data_prep fetch)"


class FileDigest(NamedTuple):
    """A file that a build has read: path relative to the source's root, size in bytes, SHA-256."""

    path: str
    size: int
    sha256: str


def digest(path: Path, root: Path, content: bytes | None = None) -> FileDigest:
    """Describe a file, reading it where ``content`` does not hold its bytes already."""
    content = path.read_bytes() if content is None else content
    return FileDigest(path.relative_to(root).as_posix(), len(content), hashlib.sha256(content).hexdigest())


def published_md5s(preset: str, source: str) -> dict[str, str | None]:
    """The MD5s that a source's publisher states, by path under its root; None where none is stated."""
    alternatives = load_source(preset, source)["expects"]
    return {path: md5 for alternative in alternatives for path, md5 in alternative.items()}


def require_folder(root: Path, name: str) -> Path:
    """The publisher's folder ``name`` under ``root``.

    Raises:
        InputError: it is not there; says how to get it.
    """
    folder = root / name
    with reading(folder):
        is_there = folder.is_dir()
    if not is_there:
        raise InputError(
            f"{folder}: no such folder; fetch it (python -m data_prep fetch), or point data.root of "
            "config/config.yaml at the folder that holds the source"
        )
    return folder


def read_file(path: Path, root: Path, md5: str | None = None) -> tuple[bytes, FileDigest]:
    """A file's content, held to its published MD5 where there is one to hold it to.

    Raises:
        InputError: the file is missing, cannot be read, or is not the published one.
    """
    blocks = []
    described = read_blocks(path, root, md5, 1 << 26, lambda block: blocks.append(bytes(block)))
    return b"".join(blocks), described


def read_blocks(
    path: Path, root: Path, md5: str | None, block_bytes: int, take: Callable[[memoryview], None]
) -> FileDigest:
    """Give a file to ``take``, a block at a time; the last may be shorter, and each is gone with the next.

    Raises:
        InputError: as :func:`read_file`; of a wrong MD5 only after the last block.
    """
    sha256 = hashlib.sha256()
    # not for security: the published sums are MD5, and systems that forbid it otherwise allow this use
    found = hashlib.md5(usedforsecurity=False)
    size = 0
    buffer = memoryview(bytearray(min(block_bytes, max(file_size(path), 1))))
    with reading(path), open(path, "rb") as file:
        while length := file.readinto(buffer):
            block = buffer[:length]
            sha256.update(block)
            if md5 is not None:
                found.update(block)
            take(block)
            size += length
    if md5 is not None and found.hexdigest() != md5:
        raise InputError(
            f"{path}: its MD5 is {found.hexdigest()}, published is {md5}; {FETCH_AGAIN}, or set check_md5 "
            "of the build settings to false if this is another edition"
        )
    return FileDigest(path.relative_to(root).as_posix(), size, sha256.hexdigest())


def file_size(path: Path) -> int:
    """Bytes of a file.

    Raises:
        InputError: it is missing, or is no file: opening a pipe would wait for ever.
    """
    with reading(path):
        status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: is no file; remove it, then {FETCH_AGAIN}")
    return status.st_size


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn a file or folder that is missing or cannot be read into one line that names it.

    Raises:
        InputError: instead of the system's error.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{error.filename or path}: no such file; {FETCH_AGAIN}") from error
    except OSError as error:
        raise InputError(
            f"{error.filename or path}: cannot be read ({error.strerror or error}); fix the permissions of "
            "it and of the folders above, or the disk"
        ) from error
