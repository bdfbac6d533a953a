"""One build of a store at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cld.errors import InputError
from cld.files import writing


@contextmanager
def only_build(store: str | Path) -> Iterator[None]:
    """Hold the right to build ``store``; it is given back when the process ends, however it ends.

    Some network file systems have no such locks. There the build goes on without: its writes are atomic, and
    two builds of the same store write the same bytes.

    Raises:
        InputError: another process builds the store now.
    """
    path = Path(store).with_name(f".{Path(store).name}.lock")
    with writing(store):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path, "a+", encoding="utf-8")  # noqa: SIM115, closed below
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            who = lock.read().strip() or "another process"
            raise InputError(f"{store}: {who} is building it now; wait for it, or stop it first") from None
        except OSError:
            yield
            return
        lock.truncate(0)
        lock.write(f"process {os.getpid()} of {os.uname().nodename}")
        lock.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
