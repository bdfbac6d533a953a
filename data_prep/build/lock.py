"""One build of a store at a time."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from cld.errors import InputError
from cld.files import writing


@contextmanager
def only_build(store: str | Path) -> Iterator[None]:
    """Hold the right to build ``store``; it is given back when the process ends, however it ends.

    What builds that were killed while they wrote the store left beside it is removed first.

    Some network file systems have no such locks. There the build goes on without: its writes are atomic, and
    two builds of the same store write the same bytes.

    Raises:
        InputError: another process builds the store now.
    """
    store = Path(store)
    path = store.with_name(f".{store.name}.lock")
    lock, is_locked = _locked(path, store)
    with lock:
        if not is_locked:
            yield
            return
        try:
            with writing(store):
                lock.truncate(0)
                lock.write(f"process {os.getpid()} of {os.uname().nodename}".encode())
                _remove_leftovers(store)
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path, store: Path) -> tuple[FileIO, bool]:
    """The lock's open file, and whether it is locked: false where the file system has no locks."""
    while True:
        with writing(store):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = open(path, "a+b", buffering=0)  # noqa: SIM115, closed by the caller
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with lock:
                lock.seek(0)
                who = lock.read().decode(errors="replace").strip() or "another process"
            raise InputError(f"{store}: {who} is building it now; wait for it, or stop it first") from None
        except OSError:
            return lock, False
        if os.fstat(lock.fileno()).st_nlink > 0:
            return lock, True
        lock.close()  # a build has ended and removed it since it was opened: others would lock a new one


def _remove_leftovers(store: Path) -> None:
    pattern = re.compile(re.escape(f".{store.stem}.") + r"[^.]+" + re.escape(f".tmp{store.suffix}"))
    for path in store.parent.iterdir():
        if pattern.fullmatch(path.name):
            path.unlink(missing_ok=True)
