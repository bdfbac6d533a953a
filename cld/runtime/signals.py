"""Signals that end work early: held back until it is saved, or obeyed at once where nothing needs saving."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: A person's Ctrl-C; a scheduler's end; its warnings that the time limit is near (see docs/cluster.md).
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGURG)


@contextmanager
def stop_signal() -> Iterator[Callable[[], int | None]]:
    """Hold back the signals of STOPPING; yields a function that returns the first one received, if any.

    A second Ctrl-C is not held back, unless torchrun has started several processes: it forwards signals that
    each of them may have received already. Other signals are held back as often as they come: Slurm sends
    them to a job's processes, and srun forwards them.
    """
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        received.append(number)
        if number == signal.SIGINT and os.environ.get("WORLD_SIZE", "1") == "1":
            signal.signal(number, previous[signal.Signals(number)])

    previous = {number: signal.signal(number, receive) for number in STOPPING}
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have a scheduler's signals of STOPPING end this process with status 128 + the signal's number.

    For work around what :func:`stop_signal` guards, where nothing is left to save: by default a process
    ignores some of these signals. Ctrl-C keeps its meaning.
    """

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    previous = {number: signal.signal(number, end) for number in STOPPING if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
