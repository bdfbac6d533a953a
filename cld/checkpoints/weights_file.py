"""Reading a file of weights without running code that is in it."""

import argparse
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cld.runtime.errors import InputError
from cld.training.checkpoint import FORMAT

#: Parts of a name that a wrapper adds, anywhere in it: DistributedDataParallel, torch.compile.
WRAPPERS = frozenset({"module", "_orig_mod"})
#: Objects that publishers save beside the weights. They hold no weights of a network: a placeholder that runs
#: none of their code stands in for each.
SET_ASIDE = (
    "lib.LinearAverage.LinearAverage",  # the published CLD and NPID code: its memory bank, as a module
    "lib.NCEAverage.NCEAverage",
    "lib.alias_multinomial.AliasMethod",
    "numpy.core.multiarray.scalar",  # an accuracy or a rate
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)
_DEPTH = 3  # of dictionaries in dictionaries that are searched for weights


class _SetAside(dict):
    """Stands in for an object of a known publisher: accepts its arguments, keeps nothing, runs nothing."""

    def __init__(self, *args: object, **kwargs: object):
        super().__init__()

    def __setstate__(self, state: object) -> None:
        pass


@dataclass(frozen=True)
class WeightsFile:
    """The content of a file.

    Attributes:
        entries: names of what lies at its top, where that is not the weights themselves.
        state_dicts: tensors by name without wrappers, by the place in the file: "" is its top,
            "model/encoder" is nested.
        originals: the names as they are in the file, likewise.
    """

    entries: tuple[str, ...]
    state_dicts: dict[str, dict[str, Tensor]]
    originals: dict[str, dict[str, str]]


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
    entries = tuple(str(name) for name, value in content.items() if not isinstance(value, Tensor))
    file = WeightsFile(entries, {}, {})
    for place, tensors in _state_dicts(content, "", _DEPTH):
        file.originals[place] = originals = _by_unwrapped_name(path, tensors)
        file.state_dicts[place] = {name: tensors[theirs].detach() for name, theirs in originals.items()}
        for name, tensor in file.state_dicts[place].items():
            if tensor.layout is not torch.strided or tensor.is_complex():
                raise InputError(f"{path}: {name} is sparse or complex; save it as plain numbers")
    if not file.state_dicts:
        held = ", ".join(map(str, list(content)[:3])) or "nothing"
        raise InputError(f"{path}: holds no weights (only {held}); name a checkpoint of a network")
    return file


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
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint can fail anywhere in the readers
        held = None
        if code := re.search(r"(?:GLOBAL|class|function) ([A-Za-z_][\w.]*\.\w+)", str(error)):
            held = f"a {code[1]}"
        elif "persistent_load" in str(error):  # PyTorch before 1.6 stored modules in a way of its own
            held = "a whole module, saved by an old PyTorch"
        if held:
            raise InputError(
                f"{path}: holds {held}, which cannot be read without running code; where that code is "
                "available, save the weights alone: torch.save(model.state_dict(), 'weights.pth')"
            ) from None
        raise InputError(f"{path}: not a checkpoint ({_line(error)}); fetch it again") from None


def _line(error: Exception) -> str:
    reason = str(error).rpartition("WeightsUnpickler error:")[2]  # what precedes it is advice
    lines = reason.strip().splitlines() or [type(error).__name__]
    return lines[0][:120]


def _state_dicts(content: Mapping, place: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """All dictionaries of tensors with their places, the outer before the inner."""
    tensors = {
        name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)
    }
    if tensors:
        yield place, tensors
    if depth:
        for name, value in content.items():
            if isinstance(value, Mapping):
                yield from _state_dicts(value, f"{place}/{name}".lstrip("/"), depth - 1)


def _by_unwrapped_name(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Names in the file by the names without what DistributedDataParallel and torch.compile add."""
    originals: dict[str, str] = {}
    for theirs in tensors:
        name = ".".join(part for part in theirs.split(".") if part not in WRAPPERS)
        if name in originals:
            raise InputError(
                f"{path}: {originals[name]} and {theirs} are one name without 'module' and '_orig_mod'; "
                "save one of the two networks alone"
            )
        originals[name] = theirs
    return originals
