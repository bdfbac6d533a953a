"""Atomic writes: a reader sees the old file or the whole new one, never half of it."""

import errno
import glob
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cld.runtime.errors import InputError

_FIXES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make its folder writable"),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP), "move what lies in its place"),
    errno.ENAMETOOLONG: "shorten its name",
}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is renamed to ``path``, on failure removed.

    The temporary name keeps the suffix, so that writers which choose a format by it work unchanged. The
    content is on the disk before the rename.

    Raises:
        InputError: ``path`` cannot be written, or is there and is no file.
    """
    path = Path(path)
    require_place(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with writing(path):
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_place(path: str | Path) -> None:
    """Refuse a path at which no file can be written, before the work whose result it would hold.

    Raises:
        InputError: it is there and is no file, or is no path at all.
    """
    path = Path(path)
    with writing(path):
        # a rename would replace a device such as /dev/null for everyone
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is there and is no file; move it, or name another file")


def remove_leftovers(path: str | Path) -> None:
    """Remove what a process left that was killed while it wrote ``path``, or its like of another suffix."""
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.stem)}.*.tmp.*"):
        leftover.unlink(missing_ok=True)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn a full disk or a missing permission, met while ``path`` is written, into one line that names it.

    Raises:
        InputError: instead of the system's error, or of what HDF5 makes of it.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        # HDF5 tells the system's error in words, and as a RuntimeError where the file closes
        in_words = re.search(r"errno = (\d+)", str(error))
        code = int(in_words[1]) if in_words else getattr(error, "errno", None)
        if "inline_container" in str(error):  # PyTorch tells no number where the disk takes no more
            code = errno.ENOSPC
        fix = _FIXES.get(code)
        if fix is None:
            raise
        raise InputError(
            f"{path}: cannot be written ({os.strerror(code)}); {fix}, or name another folder"
        ) from error


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Write ``value`` as indented JSON to ``path`` atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: str | Path, fix: str) -> dict:
    """Read a JSON object written by an earlier step.

    Raises:
        InputError: the file is missing or damaged; ``fix`` says how it is made again.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {fix}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object; {fix}")
    return content


def matplotlib_folder() -> str:
    """A folder of the user's for what matplotlib keeps, on this machine's disk."""
    return f"{tempfile.gettempdir()}/cld-matplotlib-{os.getuid()}"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
