"""MoCo's queue of keys (He et al., CVPR 2020)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cld.losses import log_partition
from cld.runtime.errors import InputError


class MomentumQueue(nn.Module):
    """The newest keys, first in, first out, as negatives (He et al. 2020, MoCo).

    Args:
        size: number of keys.
        dim: feature dimension.

    Attributes:
        queue: buffer (size, dim), unit rows; random directions at first, from torch's global generator.
        pointer: buffer, int64 scalar, the row that the next key replaces.
    """

    queue: Tensor
    pointer: Tensor

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.register_buffer("queue", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    def logits(self, queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
        """Similarities of ``queries`` (B, dim), over ``temperature``.

        Returns:
            (B, 1 + size): first each query's own row of ``keys`` (B, dim), the target; then the queue.
        """
        positive = (queries * keys).sum(dim=1, keepdim=True)
        return torch.cat([positive, queries @ self.queue.T], dim=1) / temperature

    def loss(self, queries: Tensor, keys: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-entropy of telling each query's own key from the queue, the mean over the batch.

        Args:
            queries, keys: (B, dim).

        Returns:
            The loss, and without gradient the mean similarity to the own key and to the queue; scalars.
        """
        own = (queries * keys).sum(dim=1)  # B
        positive, negatives = own / temperature, log_partition(queries, self.queue, temperature)
        loss = (torch.logaddexp(positive, negatives) - positive).mean()
        with torch.no_grad():
            others = queries.mean(dim=0) @ self.queue.mean(dim=0)
        return loss, own.detach().mean(), others

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Replace the oldest rows by ``keys`` (B, dim), wrapping at the end.

        Raises:
            InputError: more keys than the queue holds.
        """
        size = len(self.queue)
        if len(keys) > size:
            raise InputError(
                f"a batch of {len(keys)} keys exceeds the queue of {size}: "
                "raise queue.size or lower optimiser.batch_size"
            )
        rows = (self.pointer + torch.arange(len(keys), device=self.pointer.device)) % size
        self.queue.index_copy_(0, rows, keys.to(self.queue.dtype))
        self.pointer.copy_((self.pointer + len(keys)) % size)
