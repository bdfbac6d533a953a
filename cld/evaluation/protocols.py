"""The protocols, by name: each scores a run's checkpoint, or a store alone, and says how it did.

A score is ``{"run", "seed", "metrics" (percent), "settings"}``, and may have ``details``: anything that
explains the numbers, such as ``n`` images and, by metric, which of them were right (``hits``, see
:func:`cld.evaluation.statistics.packed_hits`). The table imports nothing: each needs other libraries.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Protocol:
    """How to score.

    Attributes:
        function: ``module:function``, of store, settings and, where ``needs_run``, checkpoint and device.
        needs_run: whether it takes a run's checkpoint; else it needs no network.
        resumable: whether it trains for long: it gets the score's file as ``score``, and resumes from
            :func:`partial_path` of it.
        is_shared: whether processes that torchrun has started share the work; the first of them has the
            score then, and the others None.
    """

    function: str
    needs_run: bool = True
    resumable: bool = False
    is_shared: bool = False

    @property
    def score(self) -> Callable[..., dict | None]:
        """The function."""
        module, _, name = self.function.partition(":")
        return getattr(import_module(module), name)


def partial_path(score: str | Path) -> Path:
    """What a protocol that was stopped goes on from, beside its score's file until that is written."""
    return Path(score).with_suffix(".partial.pt")


PROTOCOLS = {
    "knn": Protocol("cld.evaluation.knn_protocols:score_knn"),
    "linear": Protocol("cld.evaluation.linear:score_linear"),
    "linear_published": Protocol("cld.evaluation.linear:score_linear_published", resumable=True),
    "detection": Protocol("cld.evaluation.detection.scoring:score_detection", resumable=True, is_shared=True),
    "nmi": Protocol("cld.evaluation.nmi:score_nmi"),
    "retrieval": Protocol("cld.evaluation.retrieval:score_retrieval"),
    "unsupervised": Protocol("cld.evaluation.unsupervised:score_unsupervised"),
    "pixel_knn": Protocol("cld.evaluation.knn_protocols:score_pixel_knn", needs_run=False),
    "chance": Protocol("cld.evaluation.knn_protocols:score_chance", needs_run=False),
}
#: Those that score a store alone, with no network.
STORE_PROTOCOLS = tuple(name for name, protocol in PROTOCOLS.items() if not protocol.needs_run)
#: Those that score a run on its own dataset; detection takes another.
RUN_PROTOCOLS = tuple(
    name for name, protocol in PROTOCOLS.items() if protocol.needs_run and name != "detection"
)
#: Of the training images, whose labels semi-supervised learning is given (supplement, section 2, item 5).
SEMISUP_PERCENT = ("1", "10")
