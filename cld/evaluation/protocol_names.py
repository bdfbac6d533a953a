"""The protocols by name, and what each measures: no more than a workflow or a table needs to know."""

from pathlib import Path

#: Those that score a run on its own dataset; detection takes another.
RUN_PROTOCOLS = ("knn", "linear", "linear_published", "nmi", "retrieval", "unsupervised")
#: Those that score a store alone, with no network.
STORE_PROTOCOLS = ("pixel_knn", "chance")
#: Those that train for long, and resume from :func:`partial_path`.
RESUMABLE = ("linear_published", "detection")
#: Those whose work several processes share; the first of them returns the score, the others None.
MULTI_PROCESS = ("detection",)
#: Of the training images, whose labels semi-supervised learning is given (supplement, section 2, item 5).
SEMISUP_PERCENT = ("1", "10")

_ACCURACIES = ("top1", "top5")
_PRECISIONS = ("ap50", "ap", "ap75", "ap50_07", "ap_07")
#: What each protocol measures, in percent; the names are those of score files.
METRICS = {
    **dict.fromkeys(("knn", "linear", "linear_published", "semisup_1", "semisup_10"), _ACCURACIES),
    **dict.fromkeys(STORE_PROTOCOLS, _ACCURACIES),
    **dict.fromkeys(("detection_voc07", "detection_voc0712"), _PRECISIONS),
    "nmi": ("nmi",),
    "retrieval": ("top1", "precision_at_k"),
    "unsupervised": ("view_nmi", "view_retrieval"),
}


def partial_path(score: str | Path) -> Path:
    """Where a protocol that trains keeps its state: beside its score's file, until that is written."""
    return Path(score).with_suffix(".partial.pt")
