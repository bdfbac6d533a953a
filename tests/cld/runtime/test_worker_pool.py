"""Tests of what becomes of a pool whose workers die; the rest is tested where pools are used."""

import multiprocessing
import os
import signal
import time

import pytest

from cld.runtime.errors import InputError
from cld.runtime.worker_pool import call, worker_pool


def nap(_):
    time.sleep(0.05)
    return os.getpid()


@pytest.mark.parametrize("killed", [0, 1] * 4)  # which one holds the lock is chance
def test_when_the_system_kills_an_idle_worker_the_pool_ends(killed):
    """One of two idle workers holds the lock of the queue of jobs; the other one waits for that lock."""
    with pytest.raises(InputError, match="a worker process died"), worker_pool(2, nap, "fork") as pool:
        workers = sorted(set(pool.map(call, range(8))))
        time.sleep(0.1)  # until both are idle
        os.kill(workers[killed], signal.SIGKILL)
        while True:
            pool.submit(call, 0).result()
    assert not multiprocessing.active_children()
