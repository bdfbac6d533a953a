"""The processes that train one network together, as torchrun starts them.

Every process holds a slice of each batch, in the order of the ranks. In a single process, without torchrun,
there is no process group and the functions do nothing.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cld.runtime.errors import InputError

Value = TypeVar("Value")


def started_processes() -> int:
    """How many processes torchrun has started together; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", 1))


def require_one_process(command: str) -> None:
    """Refuse torchrun for what one process does alone.

    Raises:
        InputError: torchrun has started several processes.
    """
    if (n := started_processes()) > 1:
        raise InputError(f"{command}: takes 1 process, and torchrun started {n}; start it without torchrun")


@contextmanager
def process_group() -> Iterator[None]:
    """Join the other processes that torchrun has started, if any: NCCL for GPU tensors, gloo for others.

    Raises:
        InputError: another process ended while this one needs it.
    """
    if started_processes() == 1:
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise InputError(f"process {rank()} lost another one, which says why unless it was killed") from error
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    """How many processes train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number in the process group, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_device() -> str | None:
    """The GPU of this process where several processes share a machine; None: the caller chooses.

    Raises:
        InputError: more processes on this machine than GPUs.
    """
    if not dist.is_initialized() or not torch.cuda.is_available():
        return None
    number, n_gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= n_gpus:
        raise InputError(f"--nproc-per-node: process {number} has no GPU, there are {n_gpus}; start as many")
    return f"cuda:{number}"


def require_at_most(n: int, things: str) -> None:
    """Refuse more processes than there are things to share.

    Raises:
        InputError: names both numbers.
    """
    if world_size() > n:
        raise InputError(f"{world_size()} processes cannot share {n} {things}: start {n} at most")


def print_rank0(line: str) -> None:
    """Print a line on stderr, in the first process only."""
    if rank() == 0:
        print(line, file=sys.stderr, flush=True)


def all_gather_objects(value: Value) -> list[Value]:
    """Each process's value, by rank; anything that can be pickled."""
    if world_size() == 1:
        return [value]
    values: list = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def broadcast_object(value: Value) -> Value:
    """What the first process has, in every process; anything that can be pickled."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, device=torch.device("cpu"))
    return values[0]


def all_gather(rows: Tensor) -> Tensor:
    """The rows (N, ...) of all processes, (world size · N, ...), by rank; without gradient."""
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.detach().contiguous())
    return torch.cat(parts)


def all_reduce_mean(value: Tensor) -> Tensor:
    """The mean of a tensor over the processes; without gradient."""
    if world_size() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def all_reduce_max(*numbers: int) -> tuple[int, ...]:
    """Each number's maximum over the processes, exchanged by the CPUs, without waiting for a GPU."""
    if world_size() == 1:
        return numbers
    values = torch.tensor(numbers)
    dist.all_reduce(values, dist.ReduceOp.MAX)
    return tuple(values.tolist())


def data_parallel(network: nn.Module) -> nn.Module:
    """``network``, with gradients averaged over the processes during the backward pass."""
    if world_size() == 1:
        return network
    # Buffers are not broadcast: memories are equal anyway, and checkpoints have the first rank's statistics,
    # which are those of the batch's first part.
    return DistributedDataParallel(network, forward_sync_buffers=False)


def barrier() -> None:
    """Wait until every process has called this."""
    if world_size() > 1:
        dist.barrier()
