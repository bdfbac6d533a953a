"""The source's folder on disk: room, and the lock that keeps two fetches apart."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cld.errors import InputError
from cld.files import writing

LOCK = ".fetch.lock"
"""The locked file, in the source's folder; it stays: removing it would let two fetches lock two files."""

MEGABYTE = 1_000_000


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Check that ``folder`` has ``needed`` bytes of room for ``purpose``.

    Raises:
        InputError: it has less; says how much is needed and how much is free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: {purpose} needs {needed / MEGABYTE:,.0f} MB and {free / MEGABYTE:,.0f} MB are free; "
            "free some space, or name another folder in data of config/config.yaml"
        )


@contextmanager
def locked(root: Path) -> Iterator[bool]:
    """Make ``root`` where it is missing and hold its lock; yields whether there is one.

    A lock ends with its process, however that ends. File systems without locks (some NFS mounts) are used
    without.

    Raises:
        InputError: ``root`` cannot be written.
    """
    path = root / LOCK
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    with writing(path):
        handle = _opened(path)
    try:
        yield _lock(handle, root)
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY)  # another user's: can be locked all the same


def _lock(handle: int, root: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # not on every system
        return False
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{root}: another fetch is at work here; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        print(f"{root}: no lock ({error.strerror}); going on without", file=sys.stderr, flush=True)
        return False
    return True
