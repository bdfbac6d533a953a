"""The one checkpoint format: a dictionary of plain values and tensors, read without running any code in it.

==============  =====================================================================================
``config``      resolved configuration of the run
``data``        checksum of the store it was trained on
``encoder``     weights of backbone and instance head: what evaluation reads
``method``      weights, memories and momentum encoders: what training continues from
``optimiser``   SGD's state
``scaler``      scale of the gradients with fp16, else empty
``step``        steps done; with the seed it determines the schedule, the epoch's order and all that is random
``sums``        sums of what is logged over the epoch under way
``rows``        the log of the epochs done
``wall_time_s``  seconds of training so far
``provenance``  see :mod:`cld.runtime.provenance`; and ``precision``, what the backbone was trained in
==============  =====================================================================================
"""

import errno
import io
import warnings
import zipfile
from pathlib import Path

import torch

from cld.config import require_run
from cld.methods.encoder import Encoder, build_encoder
from cld.runtime.errors import InputError
from cld.runtime.files import atomic_path

FORMAT = "cld-checkpoint"
VERSION = 1
#: What parts are, where a file has them.
_PARTS = {"config": dict, "encoder": dict, "method": dict, "rows": list, "step": int, "provenance": dict}


def save_checkpoint(path: str | Path, content: dict) -> None:
    """Write ``content`` atomically. Tensors that share memory are stored once."""
    with atomic_path(path) as temporary:
        buffer = io.BytesIO()  # into a file PyTorch writes by itself, and hides what keeps it from doing so
        torch.save({"format": FORMAT, "version": VERSION, **content}, buffer)
        temporary.write_bytes(buffer.getbuffer())


def load_checkpoint(path: str | Path) -> dict:
    """Read a checkpoint onto the CPU.

    Raises:
        InputError: the file is missing, damaged, or no checkpoint of this version.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such checkpoint; train the run first")
    try:
        with zipfile.ZipFile(path) as archive:  # PyTorch writes checksums and does not look at them
            if damaged := archive.testzip():
                raise ValueError(f"wrong checksum of {damaged}")
        with warnings.catch_warnings(action="ignore"):  # about files that are then refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere in the readers
        reason = str(error).strip().splitlines() or [type(error).__name__]
        # the system's errors are no fault of the file, but that it was asked for a place that is none
        if isinstance(error, MemoryError) or getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise InputError(
                f"{path}: cannot be read ({reason[0]}); look to its disk, then run again"
            ) from None
        raise InputError(f"{path}: cannot be read ({reason[0]}); delete it to train afresh") from None
    marks = [content.get(key) for key in ("format", "version")] if isinstance(content, dict) else []
    if list(map(repr, marks)) != [repr(FORMAT), repr(VERSION)]:  # of values of any kind
        raise InputError(f"{path}: not a {FORMAT} of version {VERSION}; delete it to train afresh")
    for part, kind in _PARTS.items():
        if not isinstance(content.get(part, kind()), kind):
            raise InputError(f"{path}: its part '{part}' is damaged; delete it to train afresh")
    return content


def load_run_checkpoint(path: str | Path) -> dict:
    """Read the checkpoint of a run, or of one that is under way, with a configuration of this version."""
    content = load_checkpoint(path)
    if "config" not in content:
        raise InputError(f"{path}: holds no 'config'; name a run's checkpoint.pt")
    require_run(content["config"], str(path), "train or import it again by this version")
    return content


def trained_by(path: str | Path) -> dict | None:
    """What trained a run: the code, see :mod:`cld.runtime.provenance`, and the ``precision``.

    None where its checkpoint does not name the code; a network that others trained has no known precision.
    For a checkpoint that :func:`load_encoder` has read: of its tensors, which may be gigabytes, none is read.
    """
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    origin = content.get("provenance", {})
    return {**origin["code"], "precision": origin.get("precision")} if origin.get("code") else None


def load_encoder(path: str | Path, device: str | torch.device = "cpu") -> tuple[Encoder, dict]:
    """A run's encoder, for evaluation, and the run's configuration.

    The encoder maps normalised images (B, 3, S, S) to instance features (B, d) with unit rows, its
    ``backbone`` to backbone features (B, D). It is in evaluation mode and in float32 whatever the run's
    precision.

    Raises:
        InputError: see :func:`load_checkpoint`; or it is no run's, or its weights are of another architecture
            than its configuration.
    """
    checkpoint = load_run_checkpoint(path)
    try:
        encoder = build_encoder(checkpoint["config"])
        encoder.load_state_dict(checkpoint["encoder"])
    except KeyError as error:
        raise InputError(f"{path}: holds no {error}; name a run's checkpoint.pt") from None
    except RuntimeError:
        raise InputError(
            f"{path}: its weights are of another architecture than the backbone and head that its "
            "configuration names; import it with its own architecture, or train it again"
        ) from None
    return encoder.to(device).eval(), checkpoint["config"]
