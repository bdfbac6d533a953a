"""Unpack tar archives safely: only files and folders, only inside, each file whole or not at all.

Python's own extraction filters are younger than the oldest Python this must run on.
"""

import errno
import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from cld.runtime.errors import InputError
from cld.runtime.files import atomic_path, writing
from cld.runtime.progress import progress
from data_prep.fetch.disk import require_space

CHUNK = 1 << 20
BLOCK = 4096
"""Bytes that a file's size on disk is rounded up to."""

TEMPORARY = ".unpack."
"""How the folder's name begins into which an archive is unpacked, inside the source's folder."""


def unpack(archive: Path, root: Path) -> None:
    """Unpack ``archive`` (tar or tar.gz) into ``root``, beside what other archives have put there.

    All is read and checked first, then written to a temporary folder, then moved into place file by file.
    While files are moved, :func:`unfinished` is true; a kill leaves it so, and unpacking again fixes it.

    Raises:
        InputError: the archive is broken, holds what must not be unpacked, or a file of other content is in
            the way; no room, or ``root`` cannot be written.
    """
    sizes = _checked_members(archive)
    require_space(
        root, sum(-(-size // BLOCK) * BLOCK for size in sizes.values()), f"unpacking {archive.name}"
    )
    with writing(root):
        temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=root))
    try:
        _write_members(archive, temporary, len(sizes))
        waiting = [path for path in sizes if not _is_there(archive, temporary / path, root / path)]
        with writing(root):
            os.sync()  # the bytes before the names, should the power fail
            _marker(archive).touch()
        for path in waiting:
            _move(temporary / path, root / path)
        with writing(root):
            _marker(archive).unlink(missing_ok=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def unfinished(archive: Path) -> bool:
    """Whether unpacking ``archive`` was ended while its files were moved into place."""
    # a folder that cannot be read is named by whoever looks for the files in it
    return os.path.exists(_marker(archive))


def remove_leftovers(root: Path) -> None:
    """Remove what killed processes had unpacked in ``root``; only for the fetch that holds its lease."""
    for folder in root.glob(f"{TEMPORARY}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _marker(archive: Path) -> Path:
    return archive.with_name(f".{archive.name}.unpacking")


class _Forward:
    """A file that tarfile can only go forwards in, and that remembers what was read last.

    Going backwards is how a crafted header makes tarfile read for ever. What was read last tells the end of
    the archive from a broken header, which tarfile takes for the end without a word.
    """

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self.last = self._file.read(size)
        return self.last

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int) -> int:
        if position < self._file.tell():
            raise tarfile.ReadError("a header points backwards")
        return self._file.seek(position)


@contextmanager
def _opened(archive: Path) -> Iterator[IO[bytes]]:
    """The tar file inside ``archive``; what goes wrong in reading it is one line that names it."""
    try:
        with open(archive, "rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.open(file) if is_gzip else file as content:
                yield content
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"{archive}: cannot be unpacked, it is cut short or broken ({' '.join(str(error).split())}); "
            "remove it, so that it is fetched again"
        ) from error


def _checked_members(archive: Path) -> dict[str, int]:
    """The files in ``archive`` with their sizes in bytes, all of it read to the end.

    Raises:
        InputError: the archive is broken or has a member that must not be unpacked.
    """
    sizes: dict[str, int] = {}
    folders: set[str] = set()
    with _opened(archive) as content:
        forward = _Forward(content)
        with tarfile.TarFile(fileobj=forward) as tar:
            for member in tar:
                path = _safe_path(archive, member)
                folders.update(map(str, path.parents))
                if member.isdir():
                    folders.add(str(path))
                elif str(path) in sizes:
                    raise _refused(archive, member, "is in it twice")
                else:
                    sizes[str(path)] = member.size
        if forward.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end mark")
        while content.read(CHUNK):  # to the end, where gzip keeps its checksum
            pass
    clash = next((path for path in sizes if path in folders), None)
    if clash is not None:
        raise InputError(
            f"{archive}: its member {clash!r} is a file and a folder; get the archive from its publisher"
        )
    return sizes


def _safe_path(archive: Path, member: tarfile.TarInfo) -> PurePosixPath:
    path = PurePosixPath(member.name)
    if not member.isreg() and not member.isdir():
        kind = "a link" if member.issym() or member.islnk() else "neither a file nor a folder"
        raise _refused(archive, member, f"is {kind}")
    if path.is_absolute():
        raise _refused(archive, member, "has an absolute path")
    if ".." in path.parts:
        raise _refused(archive, member, "leads out of the folder")
    if member.size < 0 or "\0" in member.name or (member.isreg() and not path.parts):
        raise _refused(archive, member, "has a broken header")
    return path


def _refused(archive: Path, member: tarfile.TarInfo, reason: str) -> InputError:
    return InputError(
        f"{archive}: its member {member.name!r} {reason}, nothing is unpacked; get the archive from its "
        "publisher"
    )


def _write_members(archive: Path, folder: Path, n_files: int) -> None:
    with (
        _opened(archive) as content,
        tarfile.TarFile(fileobj=content) as tar,
        progress(f"unpack {archive.name}", n_files, "files") as bar,
    ):
        for member in tar:
            target = folder / _safe_path(archive, member)
            if member.isreg():
                source = tar.extractfile(member)
                with writing(target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    file = open(target, "wb")  # noqa: SIM115 - closed below; errors of reading are not of writing
                with file:
                    while chunk := source.read(CHUNK):
                        with writing(target):
                            file.write(chunk)
                    with writing(target):
                        file.flush()
                bar.advance()


def _is_there(archive: Path, new: Path, path: Path) -> bool:
    """Whether ``path`` has the content of ``new`` already; false where nothing is there.

    Raises:
        InputError: something else is there.
    """
    try:
        with open(path, "rb") as old:
            if os.fstat(old.fileno()).st_size == new.stat().st_size and _same_content(old, new):
                return True
    except FileNotFoundError:
        return False
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    else:
        reason = "has other content"
    raise InputError(
        f"{path}: {archive.name} has this file too, and what is there {reason}; remove one of the two"
    )


def _same_content(old: IO[bytes], new: Path) -> bool:
    with open(new, "rb") as file:
        while chunk := file.read(CHUNK):
            if old.read(CHUNK) != chunk:
                return False
    return True


def _move(new: Path, path: Path) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(new, path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with atomic_path(path) as temporary:  # a folder that is a link to another disk
                shutil.copyfile(new, temporary)
