"""Which synsets a store holds. A class's label is its synset's place in the sorted list of them."""

from collections.abc import Collection
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.common.build_record import some

SHOWN = 5


def listed_synsets(name: str) -> list[str]:
    """The synsets of a list, in its own order."""
    return Path(__file__).with_name(f"{name}.txt").read_text(encoding="ascii").split()


def chosen_synsets(
    there: Collection[str], name: str | None, skip_missing: bool, where: str
) -> tuple[list[str], list[str]]:
    """The synsets to keep, sorted, and notes for the report.

    Args:
        there: those that have a folder of training images.
        name: of a list; None: all that are there.

    Raises:
        InputError: synsets of the list are missing, and are not to be skipped; or all are.
    """
    if name is None:
        return sorted(there), []
    listed = listed_synsets(name)
    missing = [synset for synset in listed if synset not in there]
    if len(missing) == len(listed) or (missing and not skip_missing):
        raise InputError(
            f"{where}: has no training images of {len(missing)} of the {len(listed)} synsets of {name} "
            f"({some(missing, SHOWN)}); fetch them, or set build.missing_synsets to skip "
            "in the dataset's file (config/datasets)"
        )
    kept = sorted(set(listed) - set(missing))
    return kept, [f"synsets of {name} that are not there: {len(missing)} of {len(listed)}"] if missing else []
