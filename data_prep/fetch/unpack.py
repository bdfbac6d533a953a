"""Unpacking archives that have passed their checksum."""

import os
import sys
import tarfile
import zlib
from pathlib import Path

from cld.runtime.errors import InputError
from cld.runtime.files import writing


def unpack(archive: Path, root: Path) -> None:
    """Unpack ``archive`` (tar, compressed or not) into ``root``, beside what other archives have put there.

    Nothing is written outside ``root``: tarfile's filter "data" refuses such members, devices and links that
    lead out. Files of the same names are replaced. A kill leaves :func:`unpacking`; unpacking again fixes it.

    Raises:
        InputError: the archive is broken or has a member that must not be unpacked; no room, or ``root``
            cannot be written.
    """
    print(f"unpack {archive.name}", file=sys.stderr, flush=True)
    try:
        with writing(root):
            unpacking(archive).touch()
            with tarfile.open(archive) as tar:
                tar.extractall(root, filter="data")
            os.sync()  # the files before the marker goes, should the power fail
            unpacking(archive).unlink()
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"{archive}: cannot be unpacked ({' '.join(str(error).split())}); remove it, so that it is "
            "fetched again, or get it from its publisher"
        ) from error


def unpacking(archive: Path) -> Path:
    """An empty file that is there until all of ``archive`` has been unpacked."""
    return archive.with_name(f".{archive.name}.unpacking")
