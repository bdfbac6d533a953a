"""One process at a time, on any file system: a file that its holder renews.

Locks of the operating system are missing on some network file systems, and hold within one node on others. A
lock needs what all have: of several processes that make the same file, one succeeds. Its holder renews the
file's time every RENEW_S seconds. Who waits takes it over once the holder has ended on this machine, or was
an earlier start of the same Slurm job, and else when the file has stayed as it is for STALE_S seconds. No
two clocks are compared.

A holder that was suspended for so long loses its lock and notices late. So what is done under a lock has to
be harmless when two do it for a while: files are written whole, and either's are right.
"""

import errno
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cld.runtime.errors import InputError
from cld.runtime.files import write_json, writing

RENEW_S = 10.0
#: How often who waits looks. It must open the file, for which network file systems ask their server.
POLL_S = 2.0
#: Longer than a file's times are cached, and than a short failure of a server.
STALE_S = 120.0
#: In which two that take over the same lock find out whose it is.
SETTLE_S = 0.3


class Lock:
    """The right to do what a file stands for.

    Args:
        path: the file; it is there while the lock is held.
        facts: JSON values that others may read in it, see :func:`facts_of`.
    """

    def __init__(self, path: str | Path, facts: Mapping[str, object] | None = None):
        self.path = Path(path)
        self.was_lost = False
        self._content = {**_this_process(), "token": uuid.uuid4().hex, **(facts or {})}
        self._seen: tuple[str, int] | None = None
        self._changes = -1
        self._unchanged_s = 0.0
        self._ended = threading.Event()

    def try_to_take(self) -> str | None:
        """Take the lock; None where that went well, else who has it. Call again after POLL_S seconds.

        Raises:
            OSError: the file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while not self._make():
            seen = self._look()
            if seen is None:
                continue  # given back in between
            if seen != self._seen:
                self._seen, self._unchanged_s = seen, 0.0
                self._changes += 1
            else:
                self._unchanged_s += POLL_S
            holder = _parsed(seen[0])
            if _has_ended(holder) is not True and self._unchanged_s < STALE_S:
                return _name(holder)
            write_json(self.path, self._content)
            time.sleep(SETTLE_S)
            if self._is_ours():
                break
        threading.Thread(target=self._renew, daemon=True).start()
        return None

    @property
    def holder_is_alive(self) -> bool:
        """Whether the one that :meth:`try_to_take` named has given a sign of life."""
        return self._changes > 0 or (self._seen is not None and _has_ended(_parsed(self._seen[0])) is False)

    def require(self) -> None:
        """Check that the lock is still held.

        Raises:
            InputError: another process has taken it over; names it.
        """
        if self.was_lost:
            seen = self._look()
            raise InputError(
                f"{self.path.parent}: {_name(_parsed(seen[0]) if seen else {})} has taken over, since this "
                f"process gave no sign of life for {STALE_S:.0f} s; leave it to that"
            )

    def give_back(self) -> None:
        """Let others have the lock."""
        self._ended.set()
        if self._is_ours():
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _make(self) -> bool:
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        with open(file, "w", encoding="utf-8") as text:
            text.write(json.dumps(self._content))
        return True

    def _look(self) -> tuple[str, int] | None:
        try:
            with open(self.path, encoding="utf-8") as file:
                return file.read(), os.fstat(file.fileno()).st_mtime_ns
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            return None

    def _is_ours(self) -> bool:
        seen = self._look()
        return seen is not None and _parsed(seen[0]).get("token") == self._content["token"]

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S):
            with suppress(OSError):  # a server that is away for a while
                if not self._is_ours():
                    self.was_lost = True
                    return
                os.utime(self.path)


def lock_holder(path: Path) -> dict[str, object] | None:
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
    """Hold a lock. While another process has it, wait, or end with an error where there is a ``fix``.

    Args:
        path: the lock's file.
        what: what it is for; messages say ``<what>: <the other process> <doing>``.

    Raises:
        InputError: ``path`` cannot be written; or, with a ``fix``, a living process has the lock.
    """
    lock = Lock(path)
    named = None
    while (holder := _try_to_take(lock, what)) is not None:
        if fix and lock.holder_is_alive:
            raise InputError(f"{what}: {holder} {doing}; {fix}")
        if holder != named:
            wait = "waiting for a sign of life" if fix else "waiting for it"
            print(f"{what}: {holder} {doing}; {wait}", file=sys.stderr, flush=True)
        named = holder
        time.sleep(POLL_S)
    try:
        yield lock
    finally:
        lock.give_back()


def _try_to_take(lock: Lock, what: str | Path) -> str | None:
    with writing(what):
        return lock.try_to_take()


def facts_of(path: Path) -> Mapping[str, object]:
    """What a lock's file says; nothing where it is gone or being made."""
    with suppress(OSError):
        return _parsed(path.read_text(encoding="utf-8"))
    return {}


def _parsed(text: str) -> dict:
    try:
        content = json.loads(text)
    except ValueError:  # being made
        return {}
    return content if isinstance(content, dict) and "token" in content else {}


def _name(holder: Mapping) -> str:
    if holder.get("job"):
        return f"job {holder['job']} on {holder['host']}"
    return f"process {holder['process']} of {holder['host']}" if holder else "another process"


def _this_process() -> dict[str, object]:
    """Who this is, for others: to name it, and to find out whether it has ended."""
    return {
        "host": os.uname().nodename,
        "process": os.getpid(),
        "began": _began(os.getpid()),
        "numbers": _numbers(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "cluster": os.environ.get("SLURM_CLUSTER_NAME"),
    }


def _has_ended(holder: Mapping) -> bool | None:
    """Whether a process has ended; None where that cannot be told from here."""
    if not holder:
        return None
    if holder["numbers"] == _numbers():
        return not _runs(holder["process"], holder["began"])
    ours = _this_process()
    if ours["job"] and all(holder[key] == ours[key] for key in ("job", "cluster")):
        return True  # before Slurm put the job back into the queue
    return None


def _numbers() -> str:
    """Where a process number means the same process: a machine since its start, or a container on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return os.uname().nodename


def _runs(process: int, began: str | None) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return _began(process) == began


def _began(process: int) -> str | None:
    """When a process began, as its system counts; "" where it has ended; None where that is not told."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] == "Z" else fields[19]
