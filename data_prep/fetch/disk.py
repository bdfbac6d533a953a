"""The source's folder on disk: room, and what keeps two fetches apart."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cld.runtime.errors import InputError
from cld.runtime.files import writing
from cld.runtime.lock import locked

LOCK = ".fetch.lock"
"""In the source's folder, while a fetch is at work."""

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
def only_fetch(root: Path) -> Iterator[None]:
    """Make ``root`` where it is missing and hold the right to fetch into it, after waiting for another fetch.

    Raises:
        InputError: ``root`` cannot be written.
    """
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    with locked(root / LOCK, root, "is fetching into it"):
        yield
