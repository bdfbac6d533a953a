"""Files as a publisher ships them, read once: what is hashed is what is used."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cld.config import load_source
from cld.runtime.errors import InputError

FETCH_AGAIN = "fetch it again (python -m data_prep fetch)"


class PublishedMd5(NamedTuple):
    """A file's MD5 as its publisher states it, in hexadecimal digits, and the name of the source."""

    md5: str
    source: str


class FileDigest(NamedTuple):
    """A file that a build has read: path relative to the source's root, size in bytes, SHA-256."""

    path: str
    size: int
    sha256: str


def digest(path: Path, root: Path, content: bytes | None = None) -> FileDigest:
    """Describe a file, reading it where ``content`` does not hold its bytes already."""
    content = path.read_bytes() if content is None else content
    return FileDigest(path.relative_to(root).as_posix(), len(content), hashlib.sha256(content).hexdigest())


def published_md5s(preset: str, source: str) -> dict[str, PublishedMd5]:
    """The MD5s that a source's publisher states, by path under its root.

    There are none where files are generated, and where ``check_md5`` of the source is false.
    """
    content = load_source(preset, source)
    if content["generate"] is not None or not content["check_md5"]:
        return {}
    return {
        path: PublishedMd5(md5, source)
        for alternative in content["expects"]
        for path, md5 in alternative.items()
        if md5 is not None
    }


def require_folder(root: Path, name: str) -> Path:
    """The publisher's folder ``name`` under ``root``; an InputError says how to get it."""
    folder = root / name
    if not is_folder(folder):
        raise InputError(
            f"{folder}: no such folder; fetch it (python -m data_prep fetch), or point data.root of "
            "config/config.yaml at the folder that holds the source"
        )
    return folder


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder; an InputError where a folder above it cannot be looked into."""
    with reading(path):
        return path.is_dir()


def read_file(path: Path, root: Path, published: PublishedMd5 | None = None) -> tuple[bytes, FileDigest]:
    """A file's content, which must have its published MD5 where there is one.

    Raises:
        InputError: the file is missing, cannot be read, or is not the published one.
    """
    with reading(path):
        content = path.read_bytes()
    # not for security: systems that forbid MD5 otherwise allow this use
    require_md5(path, hashlib.md5(content, usedforsecurity=False).hexdigest(), published)
    return content, digest(path, root, content)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file (UTF-8); bytes that are no text become U+FFFD."""
    with reading(path):
        return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def require_md5(path: Path, found: str, published: PublishedMd5 | None) -> None:
    """Refuse a file whose MD5 is not the published one; None: there is none to compare with."""
    if published is not None and published.md5 != found:
        raise InputError(
            f"{path}: its MD5 is {found}, the publisher's is {published.md5}; remove it and fetch it "
            f"again. If it is no copy of the publisher's: check_md5: false in "
            f"config/sources/{published.source}.yaml"
        )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn a file or folder that is missing or cannot be read into an InputError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{error.filename or path}: no such file; {FETCH_AGAIN}") from error
    except OSError as error:
        raise InputError(
            f"{error.filename or path}: cannot be read ({error.strerror or error}); fix the permissions of "
            "it and of the folders above, or the disk"
        ) from error
