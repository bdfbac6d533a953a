"""Top-1 and top-5 accuracy of ranked classes, and which images were right, as a score states them."""

import numpy as np
import torch
from torch import Tensor

from cld.evaluation.statistics import packed_hits


def by_logits(logits: Tensor) -> Tensor:
    """Classes (N, C) from the largest to the smallest of ``logits`` (N, C); of equal ones the lower first."""
    return logits.argsort(dim=1, descending=True, stable=True)


def top_hits(ranked: Tensor, labels: Tensor | np.ndarray) -> dict[str, Tensor]:
    """Whether the first, or one of the first five, ``ranked`` classes (N, C) is the label (N,): bool (N,).

    With fewer than five classes the first five are all of them.
    """
    hits = ranked == torch.as_tensor(labels, device=ranked.device)[:, None]
    return {f"top{n}": hits[:, :n].any(dim=1) for n in (1, 5)}


def top_accuracy(ranked: Tensor, labels: Tensor | np.ndarray) -> dict[str, float]:
    """Top-1 and top-5 accuracy in percent of ``ranked`` classes (N, C) against ``labels`` (N,)."""
    return {name: 100 * hits.double().mean().item() for name, hits in top_hits(ranked, labels).items()}


def accuracy(ranked: Tensor, labels: np.ndarray) -> dict:
    """A score's ``metrics`` (percent) and ``details``, of ``ranked`` classes (N, C) and ``labels`` (N,)."""
    hits = {name: packed_hits(right.cpu().numpy()) for name, right in top_hits(ranked, labels).items()}
    return {"metrics": top_accuracy(ranked, labels), "details": {"n": len(labels), "hits": hits}}
