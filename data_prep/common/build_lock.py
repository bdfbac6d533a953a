"""One build of a store at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cld.runtime.files import remove_leftovers, writing
from cld.runtime.lock import locked


@contextmanager
def only_build(store: str | Path) -> Iterator[None]:
    """Hold the right to build ``store``, or fail while another does; removes what killed builds left."""
    store = Path(store)
    lock = store.with_name(f".{store.name}.lock")
    with locked(lock, store, "is building it now", "wait for it, or stop it first"):
        with writing(store):
            remove_leftovers(store)
        yield
