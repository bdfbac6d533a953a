"""Worker processes that end with the block that started them, and with their parent, whatever ends it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from cld.runtime.errors import InputError
from cld.runtime.signals import STOPPING


@contextmanager
def worker_pool(
    workers: int, function: Callable, start_method: str | None = None
) -> Iterator[ProcessPoolExecutor]:
    """Start processes for one function; gives an executor, to which jobs go as ``submit(call, job)``.

    Workers ignore the signals of :data:`cld.runtime.signals.STOPPING`: schedulers and terminals signal a
    whole group, and the parent may need results for its last step.

    Args:
        function: takes a job; sent to each worker once.
        start_method: of :mod:`multiprocessing`; default: the system's.

    Raises:
        InputError: from the block, a worker died; or the system has no room for their locks.
    """
    context, others = multiprocessing.get_context(start_method), multiprocessing.active_children()
    try:
        pool = ProcessPoolExecutor(workers, context, _start_worker, (function,))
    except OSError as error:
        raise InputError(
            f"/dev/shm: no room for the locks of worker processes ({error.strerror}); make some there (in "
            "Docker: --shm-size=64m), or run without workers: workers=0"
        ) from error
    try:
        yield pool
    except BrokenProcessPool as error:
        # The pool only asks the others to end, by a signal that they ignore, and waits for them; one that
        # waits for a lock that the dead one held would never end.
        for worker in multiprocessing.active_children():
            if worker not in others:
                worker.kill()
        raise InputError(
            f"a worker process died, most likely for lack of memory; run with fewer than {workers} workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def worker_count(workers: int | str) -> int:
    """The number of processes that a configuration's ``workers`` asks for.

    ``auto`` is one less than the CPUs of this process, which needs one itself. They are those that the system
    lets it run on (Slurm binds a job to its CPUs), shared equally by what torchrun started on the machine.
    """
    if workers != "auto":
        return int(workers)
    n_cpus = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return max(0, n_cpus - 1)


_function: Callable  # of this worker


def call(job: Any) -> Any:
    """In a worker: the pool's function of a job."""
    return _function(job)


def _start_worker(function: Callable) -> None:
    global _function
    _function = function
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without this a killed parent's workers would wait for jobs for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
