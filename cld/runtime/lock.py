"""One process at a time, on any file system: a file that exists while the lock is held.

Operating systems' own locks are missing on some network file systems and hold within one node on others.
This lock needs one thing that all have: of several processes that create the same file, one succeeds. The
owner renews the file's time every HEARTBEAT_S seconds. A waiting process takes the lock over when the owner
is gone: it has ended on this machine, or was an earlier start of the same Slurm job, or has not renewed the
file for STALE_S seconds. Ages are differences of two times that the file system gave, not of two clocks.

An owner that was suspended for that long loses the lock and learns of it late. What is done under a lock must
therefore be harmless when two processes do it for a while: files are written whole, and either's are right.
"""

import json
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cld.runtime.errors import InputError
from cld.runtime.files import write_json, writing

HEARTBEAT_S = 10.0
POLL_S = 2.0
#: Longer than a file's times are cached, and than a short failure of a server.
STALE_S = 120.0
#: In which two processes that take over the same lock find out whose it is.
SETTLE_S = 0.3


class Lock:
    """The right to do what ``path``, a file that exists while the lock is held, stands for."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.lost = False
        self._content = {**_this_process(), "token": uuid.uuid4().hex}
        self._released = threading.Event()

    def try_to_acquire(self) -> str | None:
        """Acquire the lock; returns None on success, else the owner's name. Call again after POLL_S seconds.

        Raises:
            OSError: the file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while not self._create():
            try:
                owner, age_s = self._owner(), self._age_s()
            except FileNotFoundError:
                continue  # released in between
            if not _is_gone(owner) and abs(age_s) < STALE_S:
                return _name(owner)
            write_json(self.path, self._content)
            time.sleep(SETTLE_S)
            if self._is_ours():
                break
        threading.Thread(target=self._beat, daemon=True).start()
        return None

    def require(self) -> None:
        """Check that the lock is still held.

        Raises:
            InputError: another process has taken it over; names it.
        """
        if self.lost:
            owner = self._owner() if self.path.exists() else {}
            raise InputError(
                f"{self.path.parent}: {_name(owner)} has taken over, since this process gave no sign of life "
                f"for {STALE_S:.0f} s; leave it to that"
            )

    def release(self) -> None:
        """Let other processes have the lock."""
        self._released.set()
        with suppress(OSError):
            if self._is_ours():
                self.path.unlink()

    def _create(self) -> bool:
        try:
            with open(self.path, "x", encoding="utf-8") as file:
                json.dump(self._content, file)
        except FileExistsError:
            return False
        return True

    def _owner(self) -> dict:
        """The lock file's content; empty where it is not written yet."""
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError:
            return {}
        return content if isinstance(content, dict) and "token" in content else {}

    def _age_s(self) -> float:
        """Seconds since the owner renewed the file, by the file system's own clock."""
        prefix, suffix = f".{self.path.stem}.", f".tmp{self.path.suffix}"
        with tempfile.NamedTemporaryFile(prefix=prefix, suffix=suffix, dir=self.path.parent) as new:
            return os.fstat(new.fileno()).st_mtime - self.path.stat().st_mtime

    def _is_ours(self) -> bool:
        try:
            return self._owner().get("token") == self._content["token"]
        except FileNotFoundError:
            return False

    def _beat(self) -> None:
        while not self._released.wait(HEARTBEAT_S):
            with suppress(OSError):  # a server that is away for a while
                if not self._is_ours():
                    self.lost = True
                    return
                os.utime(self.path)


def lock_holder(path: Path) -> dict | None:
    """Who holds a lock: ``host``, ``process``, Slurm ``job``, and last ``heartbeat`` (seconds since 1970).

    None where nobody does. A holder whose heartbeat is older than STALE_S has ended.
    """
    try:
        text, heartbeat = path.read_text(encoding="utf-8"), path.stat().st_mtime
    except OSError:
        return None
    with suppress(ValueError):  # the file is being written
        return {**json.loads(text), "heartbeat": heartbeat}
    return {"heartbeat": heartbeat}


@contextmanager
def locked(path: str | Path, what: str | Path, doing: str, fix: str | None = None) -> Iterator[Lock]:
    """Hold a lock. While another process has it, wait, or fail where there is a ``fix``.

    Args:
        path: the lock's file.
        what: what it is for; messages read ``<what>: <the other process> <doing>``.

    Raises:
        InputError: ``path`` cannot be written; or, with a ``fix``, another process has the lock.
    """
    lock, named = Lock(path), None
    while True:
        with writing(what):
            owner = lock.try_to_acquire()
        if owner is None:
            break
        if fix:
            raise InputError(f"{what}: {owner} {doing}; {fix}")
        if owner != named:
            print(f"{what}: {owner} {doing}; waiting for it", file=sys.stderr, flush=True)
        named = owner
        time.sleep(POLL_S)
    try:
        yield lock
    finally:
        lock.release()


def _this_process() -> dict[str, object]:
    namespace = Path("/proc/self/ns/pid")  # in a container, process numbers may be its own
    return {
        "host": os.uname().nodename,
        "pid_namespace": os.readlink(namespace) if namespace.is_symlink() else None,
        "process": os.getpid(),
        "started": _start_time(os.getpid()),
        "job": os.environ.get("SLURM_JOB_ID"),
    }


def _is_gone(owner: Mapping) -> bool:
    """Whether it is certain that a lock's owner has ended."""
    ours = _this_process()
    if not owner:
        return False
    if all(owner[key] == ours[key] for key in ("host", "pid_namespace")):
        return _start_time(owner["process"]) != owner["started"]
    return ours["job"] is not None and owner["job"] == ours["job"]  # before Slurm requeued the job


def _name(owner: Mapping) -> str:
    if owner.get("job"):
        return f"job {owner['job']} on {owner['host']}"
    return f"process {owner['process']} of {owner['host']}" if owner else "another process"


def _start_time(process: int) -> str | None:
    """When a process of this machine started, in its system's ticks; None where it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
