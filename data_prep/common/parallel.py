"""Map a function over jobs with processes, in order, without tracebacks or orphans when something dies."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from cld.runtime.worker_pool import call, worker_pool

Job = TypeVar("Job")
Result = TypeVar("Result")

CHUNK = 8
"""Jobs a worker takes at a time: few enough to end together, enough to send what they share only rarely."""


def ordered_map(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, chunk: int = CHUNK
) -> Iterator[Result]:
    """Yield ``function(job)`` for each job, in the jobs' order, from ``workers`` processes (1: this one).

    A worker takes ``chunk`` jobs at a time: 1 where a job is long.
    """
    if workers == 1 or len(jobs) <= 1:
        yield from map(function, jobs)
        return
    # spawned, not forked: a fork of a process that has used Open3D's threads can hang
    with worker_pool(workers, function, "spawn") as pool:
        yield from pool.map(call, jobs, chunksize=chunk)
