"""A score's file: what a protocol found, and where it comes from."""

import time
from pathlib import Path

from cld.config import validate
from cld.data import StoreInfo
from cld.runtime.files import write_json
from cld.runtime.provenance import provenance


def write_score(
    path: str | Path,
    protocol: str,
    preset: str,
    info: StoreInfo,
    found: dict,
    began: float,
    trained_by: dict | None,
) -> None:
    """Write what ``protocol`` found on a store, held to ``cld/schemas/score.schema.yaml``.

    Args:
        found: ``run``, ``seed``, ``metrics``, ``settings`` and perhaps ``details``.
        began: of ``time.monotonic()``, when the protocol began.
        trained_by: see :func:`cld.training.checkpoint.trained_by`; None where there is no network.

    Raises:
        InputError: it is not a score, a metric is not finite, say; nothing is written.
    """
    score = {
        "protocol": protocol,
        "preset": preset,
        "dataset": info.dataset,
        **found,
        "provenance": {
            **provenance(),
            "trained_by": trained_by,
            "data_checksum": info.checksum,
            "wall_time_s": round(time.monotonic() - began, 3),
        },
    }
    validate(score, "score", str(path), fix="look into the run's log.csv")
    write_json(path, score)
