"""The processes that train one network together, as torchrun starts them.

Every process holds a slice of each batch, in the order of the ranks. In a single process, without torchrun,
there is no process group and the functions do nothing.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
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


def rank_slice(n: int) -> slice:
    """This process's part of ``n`` things in a row; sizes differ by one at most."""
    size, rest = divmod(n, world_size())
    start = rank() * size + min(rank(), rest)
    return slice(start, start + size + (rank() < rest))


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
    values = [None] * world_size()
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
    # Buffers are not broadcast: memories are equal anyway, and checkpoints have the first rank's statistics.
    return DistributedDataParallel(network, forward_sync_buffers=False)


def barrier() -> None:
    """Wait until every process has called this."""
    if world_size() > 1:
        dist.barrier()


@torch.no_grad()
def encode_shuffled(encode: Callable[[Tensor], Tensor], images: Tensor, n_parts: int) -> Tensor:
    """Encode a batch in parts that are not those of its queries (He et al. 2020, MoCo, section 3.3).

    Batch normalisation would otherwise tell a query which key is its own: both would have been normalised
    with the same other images. The batch of all processes is shuffled, encoded in as many parts as it has,
    and put back in order. One part in all has nothing to shuffle.

    Args:
        encode: images (b, 3, S, S) to features (b, d).
        images: (B, 3, S, S), what this process has of the batch.
        n_parts: how many parts this process has.

    Returns:
        (B, d), in the order of ``images``. The shuffle is drawn from torch's global generator, which has to
        be in the same state in every process.
    """
    if n_parts * world_size() == 1:
        return encode(images)
    batch = all_gather(images)
    order = torch.randperm(len(batch)).to(batch.device)
    own = order.chunk(world_size())[rank()]
    features = all_gather(torch.cat([encode(batch[rows]) for rows in own.chunk(n_parts)]))
    return features[order.argsort()].chunk(world_size())[rank()]


class _AllReduceSum(torch.autograd.Function):
    """The sum of a tensor over the processes. The gradient is summed likewise."""

    @staticmethod
    def forward(_: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return _AllReduceSum.forward(None, gradient)


class CPUSyncBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the images of all processes, on CPUs; of inputs with any number of dimensions.

    PyTorch's own takes GPU tensors only. ``sync_bn`` (BYOL), the semi-supervised evaluation and detection
    need one, so without this class none of them could run, or be tested, in several processes on CPUs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (B, C, ...) by its channels' statistics over every process's batch."""
        if not self.training:
            statistics = self.running_mean, self.running_var
            return F.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        n = torch.tensor(x.numel() // x.shape[1])
        dist.all_reduce(n)  # slices, and regions cut out of images, need not be of one size
        mean = _AllReduceSum.apply(x.sum(axes)) / n
        centred = x - mean.view(shape)
        var = _AllReduceSum.apply(centred.square().sum(axes)) / n
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * n / (n - 1), self.momentum)
        scaled = centred * (var + self.eps).rsqrt().view(shape)
        return scaled * self.weight.view(shape) + self.bias.view(shape)


def convert_sync_batchnorm(network: nn.Module, device: torch.device) -> nn.Module:
    """``network`` with its batch normalisation over all processes; parameters keep names and values."""
    if world_size() == 1:
        return network
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            synced = CPUSyncBatchNorm(module.num_features, module.eps, module.momentum)
            synced.load_state_dict(module.state_dict())
            for ours, theirs in zip(synced.parameters(), module.parameters(), strict=True):
                ours.requires_grad_(theirs.requires_grad)
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, synced)
    return network
