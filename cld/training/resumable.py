"""A training inside an evaluation, kept in a file from which it goes on after a stop or a kill.

Under torchrun every process has a :class:`Partial` of the same file: the first one writes, and all stop
together, whichever of them was told to.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cld.config import flat
from cld.runtime.distributed import all_gather_objects, all_reduce_max, barrier, print_rank0, rank, world_size
from cld.runtime.errors import InputError
from cld.runtime.signals import stop_signal
from cld.training.checkpoint import load_checkpoint, save_checkpoint


class Partial:
    """Where a training is kept.

    Args:
        path: see :func:`cld.evaluation.protocol_names.partial_path`.
        subject: what is trained on what, and how; what was kept of another subject is refused.
        every_s: seconds from one save to the next.
    """

    def __init__(self, path: Path, subject: Mapping, every_s: float):
        self.path, self.subject, self.every_s = path, subject, every_s

    def read(self) -> dict | None:
        """What was kept, if anything was; half-written files of a process that was killed are removed.

        Raises:
            InputError: it cannot be read, or is of another subject; names what differs. Or some of the
                processes do not see it.
        """
        if rank() == 0:
            for leftover in self.path.parent.glob(f".{self.path.stem}.*.tmp.*"):
                leftover.unlink()
        seen = all_gather_objects(self.path.exists())
        if not any(seen):
            return None
        if not all(seen):
            raise InputError(
                f"{self.path}: seen by {sum(seen)} of {world_size()} processes; use a disk that all share"
            )
        checkpoint = load_checkpoint(self.path)
        theirs, ours = (flat(subject) for subject in (checkpoint.get("subject", {}), self.subject))
        keys = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
        if keys:
            changes = ", ".join(f"{key} {theirs.get(key)} there, {ours.get(key)} here" for key in keys)
            raise InputError(
                f"{self.path}: belongs to another training ({changes}); delete it to start afresh, or name "
                "another file for the result"
            )
        return checkpoint

    @contextmanager
    def kept(self, state: Callable[[], dict]) -> Iterator[Callable[[str], None]]:
        """Keep a training; yields a function to call after every step with words for how far it is.

        It is saved every ``every_s`` seconds, at the end, and on a signal of
        :data:`cld.runtime.signals.STOPPING`, which ends the process with status 128 + the signal's number.

        Args:
            state: gives what :meth:`read` is to give.
        """
        saved = time.monotonic()

        def after_step(where: str) -> None:
            nonlocal saved
            is_due = time.monotonic() - saved >= self.every_s
            number, is_due = all_reduce_max(stopped_by() or 0, int(is_due))
            if number or is_due:
                self._write(state())
                saved = time.monotonic()
            if number:
                print_rank0(f"stopped: {where} is saved in {self.path}")
                barrier()  # torchrun ends the others when one has gone
                raise SystemExit(128 + number)

        with stop_signal() as stopped_by:
            yield after_step
        self._write(state())

    def remove(self) -> None:
        """Forget what was kept: the result is there."""
        if rank() == 0:
            self.path.unlink(missing_ok=True)

    def _write(self, state: dict) -> None:
        if rank() == 0:
            save_checkpoint(self.path, {"subject": dict(self.subject), **state})
