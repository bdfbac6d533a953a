"""What a workflow makes, written down in the results folder: workflows of other checkouts keep off it.

Snakemake's own lock holds within one checkout. Without this one, two checkouts with one results folder would
remove each other's files: Snakemake removes what a job is about to make, and decides what to make before the
first job starts.
"""

import os
import uuid
from collections.abc import Iterable
from pathlib import Path

from cld.runtime.errors import InputError
from cld.runtime.files import writing
from cld.runtime.lock import Lock, facts_of, locked

FOLDER = ".workflows"
FIX = "start again when that has ended"


def keep_others_off(results: str | Path, makes: Iterable[str], reads: Iterable[str]) -> Lock:
    """Hold the right to make some files and to read others, until the lock is given back.

    Args:
        results: the folder that other workflows may share.
        makes, reads: paths, as the current folder sees them.

    Raises:
        InputError: a living workflow makes one of them, or reads what is to be made; names it. Or the folder
            cannot be written.
    """
    folder = Path(results) / FOLDER
    ours = {key: sorted(_inside(results, paths)) for key, paths in (("makes", makes), ("reads", reads))}
    with locked(folder / "turn", results, "looks for other workflows"):
        for other in sorted(folder.glob("*.lock")):
            theirs = facts_of(other)
            if file := _conflict(ours, theirs):
                doing = f"makes or reads it, for a workflow in {theirs['checkout']}"
                with locked(other, Path(results) / file, doing, FIX):
                    pass  # its process has ended: so does its lock
        lock = Lock(folder / f"{uuid.uuid4().hex}.lock", {"checkout": os.getcwd(), **ours})
        with writing(lock.path):
            lock.try_to_take()
    return lock


def require_missing(paths: Iterable[str]) -> None:
    """Check that files which a workflow has found missing, and means to make, are still missing.

    Raises:
        InputError: another workflow has made one in the meantime.
    """
    for path in paths:
        if os.path.exists(path):
            raise InputError(
                f"{path}: another workflow made it while this one looked what there is to do; start again"
            )


def _inside(results: str | Path, paths: Iterable[str]) -> set[str]:
    """Paths from the results folder; what lies elsewhere is left out."""
    relative = (os.path.relpath(path, results) for path in paths)
    return {path for path in relative if not path.startswith(os.pardir)}


def _conflict(ours: dict[str, list[str]], theirs: dict) -> str | None:
    makes, reads = set(theirs.get("makes", ())), set(theirs.get("reads", ()))
    return min((makes & {*ours["makes"], *ours["reads"]}) | (reads & {*ours["makes"]}), default=None)
