"""NPID's memory bank (Wu et al., CVPR 2018)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cld.losses import log_partition


class MemoryBank(nn.Module):
    """One feature for every training image (Wu et al. 2018, NPID), compared with by a full softmax.

    Args:
        n: number of training images.
        dim: feature dimension.
        momentum: share of the old row that an update keeps.

    Attributes:
        memory: buffer (n, dim), unit rows; random directions at first, from torch's global generator.
    """

    memory: Tensor

    def __init__(self, n: int, dim: int, momentum: float):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("memory", F.normalize(torch.rand(n, dim) * 2 - 1, dim=1))

    def logits(self, features: Tensor, temperature: float) -> Tensor:
        """Similarity (B, n) of each of ``features`` (B, dim) to every row, over ``temperature``.

        All at once, for a user's own loss; :meth:`loss` never holds so many.
        """
        return features @ self.memory.T / temperature

    def loss(self, features: Tensor, index: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-entropy of telling each image from all others, the mean over the batch.

        Args:
            features: (B, dim).
            index: (B,), the images' own rows.

        Returns:
            The loss, and without gradient the mean similarity to the own row and to the others; scalars.
        """
        own = (features * self.memory[index]).sum(dim=1)  # B
        loss = (log_partition(features, self.memory, temperature) - own / temperature).mean()
        with torch.no_grad():
            everything = features.mean(dim=0) @ self.memory.sum(dim=0)
            others = (everything - own.mean()) / (len(self.memory) - 1)
        return loss, own.detach().mean(), others

    @torch.no_grad()
    def update(self, features: Tensor, index: Tensor) -> None:
        """Move rows ``index`` (B,) towards ``features`` (B, dim): normalise(m · old + (1 - m) · new).

        An image that stands in ``index`` several times, such as the two views of a batch, moves once, towards
        the mean of its features: the order of the batch plays no part.
        """
        same = index[:, None] == index[None, :]  # (B, B)
        weights = same.to(self.memory.dtype) / same.sum(dim=1, keepdim=True)
        means = weights @ features.to(self.memory.dtype)
        # Repeats of an index write the same row to the bit: whichever the device writes last.
        means = means[same.to(torch.uint8).argmax(dim=1)]
        rows = self.momentum * self.memory[index] + (1 - self.momentum) * means
        self.memory[index] = F.normalize(rows, dim=1)

    def sampled_logits(self, features: Tensor, index: Tensor, n_negatives: int, temperature: float) -> Tensor:
        """Similarity of each of ``features`` (B, dim) to its own row and to drawn ones, over ``temperature``.

        Every row is drawn alike, an image's own included, from torch's global generator.

        Returns:
            (B, 1 + n_negatives): first the rows ``index`` (B,).
        """
        drawn = _draw(len(self.memory), (len(index), n_negatives)).to(index.device)
        rows = self.memory[torch.cat([index[:, None], drawn], dim=1)]  # (B, 1 + K, dim)
        return torch.einsum("bkd,bd->bk", rows, features) / temperature


@torch.compiler.disable  # compiled code draws other numbers
def _draw(below: int, shape: tuple[int, int]) -> Tensor:
    return torch.randint(below, shape)
