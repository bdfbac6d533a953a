"""Copies of stores on a node's own disk, each made once per node for all jobs of a user.

If CLD_STAGING names a folder, commands that read a store many times copy it there first. A copy is named by
the file's checksum, is checked against it while it is made, and gets its name when it is complete.
"""

import glob
import hashlib
import os
import shutil
import sys
from pathlib import Path

from cld.data.store_checksums import BLOCK_BYTES, sidecar
from cld.data.verification import require_whole
from cld.runtime.errors import InputError
from cld.runtime.files import atomic_path
from cld.runtime.lock import locked
from cld.runtime.progress import progress

#: Environment variable that names the folder; variables in its value are expanded.
VARIABLE = "CLD_STAGING"
#: Left free for other jobs of the node.
SPARE_BYTES = 10**9


def local_copy(store: str | Path) -> Path:
    """The path of a store's copy on this node's disk, made if need be; the store's own path if it cannot be.

    The content is checked once: of a copy while it is made, else as :func:`require_whole` does.
    Processes that need the same copy wait for the one that makes it.

    Raises:
        InputError: the content does not match the store's checksum.
    """
    store, setting = Path(store), os.environ.get(VARIABLE)
    if not setting or not store.is_file():  # its reader reports a missing store
        require_whole(store)
        return store
    folder = os.path.expandvars(os.path.expanduser(setting))
    try:
        if "$" in folder:
            raise InputError(f"{setting} is not set here")
        digest = sidecar(store).read_text(encoding="ascii", errors="replace").split(" ")[0]
        return _copied(store, digest, Path(folder, f"cld-{os.getuid()}"))
    except _AlteredError:
        raise
    except (OSError, InputError) as error:
        print(f"{store}: is read where it is, without a copy ({error})", file=sys.stderr, flush=True)
        require_whole(store)
        return store


class _AlteredError(InputError):
    """The store has another content than its checksum says: it is not read in place either."""


def _copied(store: Path, digest: str, folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the user's own, in one that several may share
    if folder.lstat().st_uid != os.getuid():
        raise InputError(f"{folder}: belongs to another user; move it, or name another folder")
    size = store.stat().st_size
    copy = folder / f"{store.stem}-{digest[:16]}.h5"
    if _is_whole(copy, size):
        return copy
    with locked(folder / f"{copy.stem}.lock", store, f"is copying it to {folder}"):
        if _is_whole(copy, size):
            return copy
        for half in folder.glob(f".{glob.escape(copy.stem)}.*.h5"):  # of a process that was killed
            half.unlink()
        needed, free = size + SPARE_BYTES, shutil.disk_usage(folder).free
        if needed > free:
            raise InputError(f"{needed / 1e9:.1f} GB are needed in {folder}, {free / 1e9:.1f} are free")
        with atomic_path(copy) as temporary:
            _copy(store, temporary, size, digest)
    return copy


def _is_whole(copy: Path, size: int) -> bool:
    return copy.is_file() and copy.stat().st_size == size


def _copy(store: Path, temporary: Path, size: int, digest: str) -> None:
    found = hashlib.sha256()
    with (
        open(store, "rb") as source,
        open(temporary, "wb") as target,
        progress(f"copy {store.name}", size >> 20, "MB") as bar,
    ):
        while block := source.read(BLOCK_BYTES):
            found.update(block)
            target.write(block)
            bar.advance(len(block) >> 20)
    if found.hexdigest() != digest:
        raise _AlteredError(
            f"{store}: its content does not match {sidecar(store).name}; check it with: cld verify {store}"
        )
