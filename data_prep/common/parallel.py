"""Map a function over jobs with processes, in order, without tracebacks or orphans when something dies."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from cld.runtime.errors import InputError

Job = TypeVar("Job")
Result = TypeVar("Result")

CHUNK = 8
"""Jobs a worker takes at a time: few enough to end together, enough to send what they share only rarely."""


def ordered_map(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, chunk: int = CHUNK
) -> Iterator[Result]:
    """Yield ``function(job)`` for each job, in the jobs' order, from ``workers`` processes (1: this one).

    A worker takes ``chunk`` jobs at a time: 1 where a job is long.

    Raises:
        InputError: ``workers`` is not positive, or a worker process died.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be 1 or more")
    if workers == 1 or len(jobs) <= 1:
        yield from map(function, jobs)
        return
    # spawned, not forked: a fork of a process that has used Open3D's threads can hang
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        yield from pool.map(function, jobs, chunksize=chunk)
    except BrokenProcessPool as error:
        raise InputError(
            f"a worker process died, most likely for want of memory; run with fewer than {workers} workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's workers outlive a parent that is killed: each would wait for work for ever."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
