"""A score's file: what a protocol found, and where it comes from."""

import math
import time
from pathlib import Path

from cld.config import validate
from cld.data import StoreInfo
from cld.runtime.errors import InputError
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
        trained_by: what trained the network, see :func:`cld.training.checkpoint.trained_by`; None
            where there is none.

    Raises:
        InputError: it is not a score; nothing is written.
    """
    for name, value in found["metrics"].items():
        if not math.isfinite(value):
            raise InputError(f"{path}: {protocol} gave {value} for {name}; look into the run's log.csv")
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
    validate(score, "score", str(path))
    write_json(path, score)
