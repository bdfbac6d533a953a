"""MD5 checksums of a source's files, remembered while size and time of change stay the same."""

import hashlib
import json
import os
from contextlib import nullcontext, suppress
from pathlib import Path

from cld.runtime.errors import InputError
from cld.runtime.files import write_json
from cld.runtime.progress import progress
from data_prep.fetch.disk import MEGABYTE

MEMORY = ".verified.json"
"""In the source's folder: path -> [size, mtime_ns, MD5] of each file that has been read."""

CHUNK = 1 << 20
SHOWN_FROM = 100 * MEGABYTE
"""Smaller files are read without a word."""


def md5_of(path: Path) -> str:
    """The MD5 of a file, in hexadecimal digits.

    Raises:
        InputError: it cannot be read.
    """
    # not for security: the published sums are MD5, and systems that forbid it otherwise allow this use
    digest = hashlib.md5(usedforsecurity=False)
    try:
        size = path.stat().st_size
        big = size >= SHOWN_FROM
        report = progress(f"check {path.name}", size // MEGABYTE, "MB") if big else nullcontext()
        with open(path, "rb") as file, report as bar:
            done = 0
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                done += len(chunk)
                if bar is not None:
                    bar.advance(done // MEGABYTE - (done - len(chunk)) // MEGABYTE)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); fix its permissions or the disk"
        ) from error
    return digest.hexdigest()


class Checksums:
    """The MD5s of files under one root."""

    def __init__(self, root: Path, recheck: bool = False):
        """Start from what is remembered in ``root``, or with ``recheck`` from nothing."""
        self.root = root
        self._known = {} if recheck else _read(root / MEMORY)

    def md5(self, path: str) -> str:
        """The MD5 of ``path``, relative to the root; read only when it is new or has changed.

        Raises:
            InputError: the file cannot be read.
        """
        before = _state(self.root / path)
        if before is not None and self._known.get(path, [])[:2] == before:
            return self._known[path][2]
        md5 = md5_of(self.root / path)
        if before == _state(self.root / path):  # not written to meanwhile
            self.remember(path, md5)
        return md5

    def remember(self, path: str, md5: str) -> None:
        """Keep the MD5 of ``path``, here and, where the root can be written, for the next time."""
        self._known[path] = [*_state(self.root / path), md5]
        with suppress(InputError):  # a read-only root: what lies there is read each time
            write_json(self.root / MEMORY, _read(self.root / MEMORY) | {path: self._known[path]})


def _state(path: Path) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read(path: Path) -> dict[str, list]:
    """What is remembered; anything unreadable counts as nothing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    items = content.items() if isinstance(content, dict) else ()
    return {name: entry for name, entry in items if isinstance(entry, list) and len(entry) == 3}
