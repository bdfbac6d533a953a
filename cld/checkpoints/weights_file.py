"""Reading a file of weights without running code that is in it."""

import argparse
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cld.checkpoints.layouts import SET_ASIDE
from cld.runtime.errors import InputError
from cld.training.checkpoint import FORMAT

_DEPTH = 3  # of dictionaries in dictionaries that are looked through for weights


class _SetAside(dict):
    """Stands in for an object of a known publisher: takes what it is given, keeps nothing, runs nothing."""

    def __init__(self, *args: object, **kwargs: object):
        super().__init__()

    def __setstate__(self, state: object) -> None:
        pass


@dataclass(frozen=True)
class WeightsFile:
    """What a file holds.

    Attributes:
        entries: names of what lies at its top, where that is not the weights themselves.
        state_dicts: tensors by name, by the place in the file: "" is its top, "model/encoder" is nested.
    """

    entries: tuple[str, ...]
    state_dicts: dict[str, dict[str, Tensor]]


def read_weights(path: str | Path) -> WeightsFile:
    """Read a PyTorch file (``weights_only=True``) or a ``.safetensors`` file onto the CPU.

    Raises:
        InputError: the file is missing, damaged, no checkpoint, needs code to be read, or holds no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; name a checkpoint to import")
    content = _load_safetensors(path) if path.suffix == ".safetensors" else _load_torch(path)
    if not isinstance(content, Mapping):
        raise InputError(
            f"{path}: holds a {type(content).__name__}, not a dictionary of weights; "
            "save the network's state dict: torch.save(model.state_dict(), 'weights.pth')"
        )
    if content.get("format") == FORMAT:
        raise InputError(f"{path}: is a run's checkpoint already; score it with cld evaluate")
    state_dicts = dict(_state_dicts(content, "", _DEPTH))
    if not state_dicts:
        held = ", ".join(map(str, list(content)[:3])) or "nothing"
        raise InputError(f"{path}: holds no weights (only {held}); name a checkpoint of a network")
    entries = tuple(str(name) for name, value in content.items() if not isinstance(value, Tensor))
    return WeightsFile(entries, state_dicts)


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file ({_line(error)}); fetch it again") from None


def _load_torch(path: Path) -> object:
    allowed = [argparse.Namespace, *((_SetAside, name) for name in SET_ASIDE)]
    try:
        if zipfile.is_zipfile(path):  # PyTorch writes checksums and does not look at them
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():
                    raise ValueError(f"wrong checksum of {damaged}")
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint can fail anywhere in the readers
        if code := re.search(r"(?:GLOBAL|class|function) ([A-Za-z_][\w.]*\.\w+)", str(error)):
            raise InputError(
                f"{path}: holds a {code[1]}, which cannot be read without running code; where that code is "
                "at hand, save the weights alone: torch.save(model.state_dict(), 'weights.pth')"
            ) from None
        if "persistent_load" in str(error):  # files of PyTorch before 1.6 hold modules in a way of their own
            raise InputError(
                f"{path}: holds a whole module, saved by an old PyTorch, which cannot be read without "
                "running code; where that code is at hand, save the weights alone: "
                "torch.save(model.state_dict(), 'weights.pth')"
            ) from None
        raise InputError(f"{path}: not a checkpoint ({_line(error)}); fetch it again") from None


def _line(error: Exception) -> str:
    told = str(error).rpartition("WeightsUnpickler error:")[2]  # what stands before it is advice
    lines = told.strip().splitlines() or [type(error).__name__]
    return lines[0][:120]


def _state_dicts(content: Mapping, place: str, depth: int) -> list[tuple[str, dict[str, Tensor]]]:
    """All dictionaries of tensors, the outer before the inner."""
    tensors = {
        name: value.detach()
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    found = [(place, tensors)] if tensors else []
    if depth:
        for name, value in content.items():
            if isinstance(value, Mapping):
                found += _state_dicts(value, f"{place}/{name}".lstrip("/"), depth - 1)
    return found
