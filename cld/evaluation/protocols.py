"""What scores by each protocol.

A score is ``{"run", "seed", "metrics" (percent), "settings"}``, and may have ``details``: anything that
explains the numbers, such as ``n`` images and, by metric, which of them were right (``hits``, see
:func:`cld.evaluation.statistics.packed_hits`).

Each function takes a store and the protocol's settings; those that score a run also ``checkpoint`` and
``device_name``; and those of :data:`cld.evaluation.protocol_names.RESUMABLE` the score's file as ``score``.
Each raises an InputError where the store, its labels, a setting or the run does not suit.
"""

from collections.abc import Callable

from cld.evaluation.baselines import score_chance, score_pixel_knn
from cld.evaluation.detection.scoring import score_detection
from cld.evaluation.knn import score_knn
from cld.evaluation.linear import score_linear, score_linear_published
from cld.evaluation.nmi import score_nmi
from cld.evaluation.retrieval import score_retrieval
from cld.evaluation.unsupervised import score_unsupervised

PROTOCOLS: dict[str, Callable[..., dict | None]] = {
    "knn": score_knn,
    "linear": score_linear,
    "linear_published": score_linear_published,
    "detection": score_detection,
    "nmi": score_nmi,
    "retrieval": score_retrieval,
    "unsupervised": score_unsupervised,
    "pixel_knn": score_pixel_knn,
    "chance": score_chance,
}
