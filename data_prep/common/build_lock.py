"""One build of a store at a time."""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cld.runtime.files import writing
from cld.runtime.lock import locked


@contextmanager
def only_build(store: str | Path) -> Iterator[None]:
    """Hold the right to build ``store``; it is given back when the process ends, however it ends.

    What builds that were killed while they wrote the store left beside it is removed first.

    Raises:
        InputError: another process builds the store now.
    """
    store = Path(store)
    lock = store.with_name(f".{store.name}.lock")
    with locked(lock, store, "is building it now", "wait for it, or stop it first"):
        with writing(store):
            for leftover in store.parent.glob(f".{glob.escape(store.stem)}.*.tmp{glob.escape(store.suffix)}"):
                leftover.unlink(missing_ok=True)
        yield
