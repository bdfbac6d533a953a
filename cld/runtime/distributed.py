"""The processes that train one network together, as torchrun starts them; alone, each of these does nothing.

Every process holds a slice of each batch, in the order of the ranks.
"""

import os
import sys
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cld.runtime.errors import InputError

Value = TypeVar("Value")


def world_size() -> int:
    """How many processes train together; 1 where there is no process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_device() -> str | None:
    """The GPU of this process where several share a machine; None: the caller's choice.

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
    """Which of ``n`` things in a row are this process's; the first few have one more where it must be."""
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
    """Tell on stderr, once, what every process knows."""
    if rank() == 0:
        print(line, file=sys.stderr, flush=True)


def all_gather_objects(value: Value) -> list[Value]:
    """What each process has, by rank; anything that can be pickled."""
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
    """The rows (N, ...) of all processes, (processes · N, ...), by rank; without gradient."""
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
    """Each number's greatest value in any process: how they agree, without waiting for a GPU."""
    if world_size() == 1:
        return numbers
    values = torch.tensor(numbers)
    dist.all_reduce(values, dist.ReduceOp.MAX)
    return tuple(values.tolist())


def data_parallel(network: nn.Module) -> nn.Module:
    """``network``, whose gradients become the means over the processes while they are computed."""
    if world_size() == 1:
        return network
    # Buffers are left alone: memories are alike anyway, and of batch statistics the first process's are kept.
    return DistributedDataParallel(network, forward_sync_buffers=False)


def barrier() -> None:
    """Return when every process has come here."""
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


class _Sum(torch.autograd.Function):
    """The sum of a tensor over the processes; so is its gradient."""

    @staticmethod
    def forward(_: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return _Sum.forward(None, gradient)


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the images of all processes, on a CPU (PyTorch's own is for GPUs alone)."""

    def _check_input_dim(self, x: Tensor) -> None:
        if x.ndim < 2:
            raise ValueError(f"expected two dimensions or more, not {x.ndim}")

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (B, C, ...) by its channels' statistics over every process's batch."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        n = torch.tensor(x.numel() // x.shape[1])
        dist.all_reduce(n)  # slices, and what is cut out of images, need not be of one size
        mean = _Sum.apply(x.sum(axes)) / n
        centred = x - mean.view(shape)
        var = _Sum.apply(centred.square().sum(axes)) / n
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * n / (n - 1), self.momentum)
        scaled = centred * (var + self.eps).rsqrt().view(shape)
        return scaled * self.weight.view(shape) + self.bias.view(shape)


def convert_sync_batchnorm(network: nn.Module, device: torch.device) -> nn.Module:
    """``network`` with its batch normalisation over all processes; names and values stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            synced = SyncBatchNorm(module.num_features, module.eps, module.momentum)
            synced.load_state_dict(module.state_dict())
            for ours, theirs in zip(synced.parameters(), module.parameters(), strict=True):
                ours.requires_grad_(theirs.requires_grad)
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, synced)
    return network
