"""Top-1 and top-5 accuracy of ranked classes, and which images were right, as a score states them."""

from torch import Tensor

from cld.evaluation.statistics import packed_hits
from cld.nearest_neighbours import top_accuracy, top_hits


def by_logits(logits: Tensor) -> Tensor:
    """Classes (N, C) from the largest to the smallest of ``logits`` (N, C); of equal ones the lower first."""
    return logits.argsort(dim=1, descending=True, stable=True)


def accuracy(ranked: Tensor, labels: Tensor) -> dict:
    """The ``metrics`` (percent) and ``details`` of a score.

    Args:
        ranked: (N, C) int64, the classes of each image, best first.
        labels: (N,) int64, on the same device.
    """
    hits = {name: packed_hits(right.cpu().numpy()) for name, right in top_hits(ranked, labels).items()}
    return {"metrics": top_accuracy(ranked, labels), "details": {"n": len(labels), "hits": hits}}
