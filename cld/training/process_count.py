"""How many processes may train a run together: each takes as many of the parts of its batches."""

from collections.abc import Mapping

from cld.runtime.errors import InputError


def require_process_count(config: Mapping, n: int) -> None:
    """Refuse ``n`` processes where they cannot share the parts of a run's batches equally.

    Raises:
        InputError: names both numbers.
    """
    parts = config["optimiser"]["parts"]
    if parts % n:
        raise InputError(
            f"{n} processes cannot share the optimiser.parts {parts} of a batch: start a number that divides "
            f"it, or set optimiser.parts={n} (another result: normalisation and CLD see a part at a time)"
        )
    if config["sync_bn"] and parts != n:
        raise InputError(
            f"sync_bn normalises the {parts} optimiser.parts of a batch together: start {parts} processes, "
            f"not {n}, or set optimiser.parts={n}"
        )


def process_count_for(config: Mapping, most: int) -> int:
    """The greatest number of processes up to ``most`` that may train a run; with sync_bn the only one."""
    parts = config["optimiser"]["parts"]
    if config["sync_bn"]:
        return parts
    return max(n for n in range(1, min(most, parts) + 1) if parts % n == 0)
