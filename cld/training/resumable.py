"""A training's state in a file, from which it resumes after a stop or a kill.

Under torchrun every process has a :class:`Resumable` of the same file. The first process reads and writes it,
and all stop together, whichever of them received the signal.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cld.config import flat
from cld.runtime.distributed import all_reduce_max, barrier, broadcast_object, print_rank0, rank
from cld.runtime.errors import InputError
from cld.runtime.files import remove_leftovers
from cld.runtime.signals import stop_signal
from cld.training.checkpoint import load_checkpoint, load_run_checkpoint, save_checkpoint


class Resumable:
    """Where a training's state is kept.

    Args:
        subject: what is trained on what, and how; the state of another subject is refused.
        every_s: seconds from one save to the next.
        subject_of: reads the subject from a state; None: the subject is saved beside the state.
    """

    def __init__(
        self,
        path: Path,
        subject: Mapping,
        every_s: float,
        subject_of: Callable[[Mapping], Mapping] | None = None,
    ):
        self.path, self.subject, self.every_s, self.subject_of = path, subject, every_s, subject_of

    def load(self) -> dict | None:
        """The saved state, on the CPU; None where there is none. Half-written files of a kill are removed.

        Raises:
            InputError: it cannot be read, or is of another subject; names what differs.
        """
        state = None
        if rank() == 0:
            remove_leftovers(self.path)
            if self.path.exists():
                state = (load_run_checkpoint if self.subject_of else load_checkpoint)(self.path)
                theirs = self.subject_of(state) if self.subject_of else state.get("subject", {})
                require_same_subject(self.path, theirs, self.subject)
        return broadcast_object(state)

    @contextmanager
    def saving(self, state: Callable[[], dict]) -> Iterator[Callable[[str], None]]:
        """Save a training as it proceeds; yields a function to call after every step, with its name.

        The state is saved every ``every_s`` seconds, at the end, and on a signal of
        :data:`cld.runtime.signals.STOPPING`, which ends the process with status 128 + the signal's number.

        Args:
            state: gives what :meth:`load` is to give; called in the first process alone.
        """
        saved = time.monotonic()

        def after_step(where: str) -> None:
            nonlocal saved
            is_due = time.monotonic() - saved >= self.every_s
            number, any_due = all_reduce_max(received() or 0, int(is_due))
            if number or any_due:
                self._save(state)
                saved = time.monotonic()
            if number:
                print_rank0(f"stopped: {where} is saved in {self.path}")
                barrier()  # torchrun ends the others when one has gone
                raise SystemExit(128 + number)

        with stop_signal() as received:
            yield after_step
        self._save(state)

    def remove(self) -> None:
        """Delete the file: the result is there."""
        if rank() == 0:
            self.path.unlink(missing_ok=True)

    def _save(self, state: Callable[[], dict]) -> None:
        if rank() == 0:
            beside = {} if self.subject_of else {"subject": dict(self.subject)}
            save_checkpoint(self.path, {**beside, **state()})


def require_same_subject(path: Path, theirs: Mapping, ours: Mapping) -> None:
    """Refuse a state of another training.

    Raises:
        InputError: names both values of each key that differs.
    """
    theirs, ours = flat(theirs), flat(ours)
    keys = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
    if keys:
        changes = ", ".join(f"{key} {theirs.get(key)} there, {ours.get(key)} here" for key in keys)
        raise InputError(
            f"{path}: belongs to another training ({changes}); delete it to start afresh, or name another "
            "place for the result"
        )
