"""Processes that torchrun starts; without PyTorch, whose import takes seconds, where there is one alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from cld.runtime.errors import InputError

#: Set by who starts the processes and tells which one is gone: the others end in silence, with status LOST.
LOSS_IS_TOLD = "CLD_LOSS_IS_TOLD"
LOST = 75


def n_started() -> int:
    """How many processes torchrun has started together; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def require_one_process(command: str) -> None:
    """Refuse to have several processes do what one does alone.

    Raises:
        InputError: torchrun has started several.
    """
    if (n := n_started()) > 1:
        raise InputError(f"{command}: takes 1 process, and torchrun started {n}; start it without torchrun")


@contextmanager
def process_group() -> Iterator[None]:
    """Join the other processes that torchrun has started, if any: NCCL for GPUs, gloo for the rest.

    Raises:
        InputError: another process is gone while this one needs it.
        SystemExit: likewise, where who started the processes tells which one is gone (LOSS_IS_TOLD).
    """
    if n_started() == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        if os.environ.get(LOSS_IS_TOLD):
            raise SystemExit(LOST) from None
        raise InputError(
            f"process {dist.get_rank()} lost another one, which says why unless it was killed"
        ) from error
    finally:
        dist.destroy_process_group()
