"""One training of a run at a time: a second one waits, and then finds the run complete or goes on with it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cld.runtime.distributed import all_reduce_max, print_rank0, rank
from cld.runtime.files import writing
from cld.runtime.lock import POLL_S, Lock
from cld.runtime.signals import stop_signal
from cld.training.run_folder import LOCK


@contextmanager
def hold_run_lock(run_dir: Path) -> Iterator[Lock | None]:
    """Hold the right to train a run, in the first process, after waiting for others; None in the rest.

    Raises:
        InputError: the folder cannot be written.
    """
    lock = Lock(run_dir / LOCK) if rank() == 0 else None
    named = None
    try:
        with stop_signal() as stopped_by:
            while True:
                with writing(run_dir):
                    owner = lock.try_to_acquire() if lock else None
                waits, number = all_reduce_max(int(owner is not None), stopped_by() or 0)
                if number:
                    raise SystemExit(128 + number)
                if not waits:
                    break
                if owner != named:
                    print_rank0(f"{run_dir}: {owner} trains this run; waiting for it")
                named = owner
                time.sleep(POLL_S)
        yield lock
    finally:
        if lock:
            lock.release()
