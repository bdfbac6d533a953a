"""What a source's folder must hold: the alternatives of ``expects``, and what of them is there."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.fetch.checksums import Checksums

Alternative = Mapping[str, str | None]
"""Paths in the source's folder that belong together, each with its MD5 or None."""


def complete_alternative(
    root: Path, expects: Sequence[Alternative], checksums: Checksums
) -> Alternative | None:
    """The first alternative of which every path is there, its checksums verified; None where there is none.

    Raises:
        InputError: a file has not its published checksum, or cannot be read.
    """
    for alternative in expects:
        if not missing_paths(root, alternative):
            for path, md5 in alternative.items():
                if md5 is not None:
                    _verify(root / path, md5, checksums.md5(path))
            return alternative
    return None


def _verify(path: Path, wanted: str, found: str) -> None:
    if found != wanted:
        raise InputError(
            f"{path}: its MD5 is {found}, the publisher's is {wanted}; remove the file and fetch it again"
        )


def missing_paths(root: Path, alternative: Alternative) -> list[str]:
    """The paths of an alternative that are not there."""
    return [
        path for path, md5 in alternative.items() if not _is_there(root / path, only_file=md5 is not None)
    ]


def _is_there(path: Path, only_file: bool) -> bool:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); fix its permissions or the disk"
        ) from error
    return stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and not only_file)


def by_hand_error(name: str, root: Path, source: Mapping) -> InputError:
    """The error for files that a person must fetch: what, where to, and what each alternative lacks."""
    lines = [
        f"{root}: {source['title']} must be put into this folder by hand, or data.paths.{name} (or "
        f"data.root, the folder of all sources) in config/config.yaml must name the folder that has it. "
        f"{source['by_hand'].strip()}"
    ]
    for number, alternative in enumerate(source["expects"], 1):
        missing = ", ".join(missing_paths(root, alternative))
        lines.append(f"  alternative {number}: looked for {', '.join(alternative)}; missing: {missing}")
    return InputError("\n".join(lines))


def n_files(folder: Path) -> int:
    """How many files lie in ``folder`` and below, hidden ones left out.

    Raises:
        InputError: a folder cannot be read.
    """
    return sum(_files_by_folder(folder))


def _files_by_folder(folder: Path) -> Iterator[int]:
    seen = set()

    def fail(error: OSError) -> None:
        raise InputError(
            f"{error.filename}: cannot be read ({error.strerror}); fix its permissions"
        ) from error

    for path, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in seen:  # a link may lead back up
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield sum(not name.startswith(".") for name in files)
