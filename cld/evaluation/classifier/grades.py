"""What a classifier's logits are worth: top-1 and top-5, and which images were right."""

from torch import Tensor

from cld.evaluation.knn import knn_hits
from cld.evaluation.statistics import packed_hits


def accuracy(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Top-1 and top-5 in percent of ``logits`` (N, C) against ``labels`` (N,); see :func:`graded`."""
    return graded(logits, labels)["metrics"]


def graded(logits: Tensor, labels: Tensor) -> dict:
    """``metrics`` and ``details`` of a score; of equal logits the class with the lower number comes first.

    Args:
        logits: (N, C).
        labels: (N,) int64, on the same device.
    """
    hits = knn_hits(logits.argsort(dim=1, descending=True, stable=True), labels)
    return {
        "metrics": {name: 100 * right.double().mean().item() for name, right in hits.items()},
        "details": {
            "n": len(labels),
            "hits": {name: packed_hits(right.cpu().numpy()) for name, right in hits.items()},
        },
    }
