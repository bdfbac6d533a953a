"""The ResNets among a file's tensors: found by name, recognised by their shapes, and one of them chosen."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cld.checkpoints.layouts import ALIASES, MOMENTUM_WORDS, ONLINE_WORDS, places_by_layout
from cld.checkpoints.weights_file import WeightsFile
from cld.models.backbones import RESNETS, STEMS, ResNet, build_backbone
from cld.runtime.errors import InputError

#: Counters that evaluation does not read; PyTorch before 0.4.1 did not save them.
COUNTER = "num_batches_tracked"


class NotOursError(Exception):
    """A network or head that the project's own cannot hold; says why."""


@dataclass(frozen=True)
class Backbone:
    """A ResNet found in a file.

    Attributes:
        place: of its state dict in the file.
        prefix: of its names, without wrappers.
        settings: the ``backbone`` section that builds it.
        names: their name (without wrappers) of each tensor, by ours.
    """

    place: str
    prefix: str
    settings: dict
    names: dict[str, str]

    def __str__(self) -> str:
        return shown(self.place, self.prefix)

    @property
    def rank(self) -> int:
        """-1 if its name says that it is the one trained by gradient, 1 if it follows another, else 0."""
        words = set(re.split(r"[._/]", f"{self.place}/{self.prefix}".lower()))
        return 1 if words & MOMENTUM_WORDS else -1 if words & ONLINE_WORDS else 0


def shown(place: str, prefix: str) -> str:
    """A backbone's place and prefix as a message shows them."""
    return f"{place}: {prefix or 'names without prefix'}" if place else prefix or "names without prefix"


def choose_backbone(
    path: str | Path, file: WeightsFile, layout: str, prefix: str | None
) -> tuple[Backbone, list[str]]:
    """The backbone to import, and the other networks of the file in words.

    A network trained by gradient is preferred to one that follows it (key, momentum, teacher, target).

    Args:
        layout: of ``LAYOUTS``, or ``auto``.
        prefix: of the backbone's names, without wrappers; None: any.

    Raises:
        InputError: there is none, or several are equally good and differ.
    """
    found: list[Backbone] = []
    refused: list[tuple[str, str]] = []
    for place, tensors in file.state_dicts.items():
        for begin in _prefixes(tensors):
            try:
                found.append(_recognised(tensors, place, begin))
            except NotOursError as error:
                refused.append((shown(place, begin), str(error)))
    fitting = found
    if prefix is not None:
        fitting = [backbone for backbone in found if backbone.prefix == prefix]
    elif layout != "auto":
        fitting = [backbone for backbone in found if layout in places_by_layout(backbone.prefix)]
    if fitting:
        best = min(backbone.rank for backbone in fitting)
        first, *rest = [backbone for backbone in fitting if backbone.rank == best]
        if not all(_are_equal(file, first, other) for other in rest):
            names = ", ".join(f"'{backbone.prefix}'" for backbone in (first, *rest))
            raise InputError(
                f"{path}: holds networks that are equally good ({', '.join(map(str, (first, *rest)))}); "
                f"choose by --prefix ({names}), or save one alone"
            )
        others = [str(backbone) for backbone in found if backbone is not first]
        return first, others + [f"{where} ({why})" for where, why in refused]
    if found:
        asked = f"--layout {layout}" if prefix is None else f"--prefix '{prefix}'"
        known = ", ".join(map(str, found))
        raise InputError(f"{path}: no network fits {asked}; it has {known}: choose one, or leave it out")
    if refused:
        where, why = refused[0]
        raise InputError(
            f"{path}: the network under {where} is none of ours: {why}; what can be read are ResNets of "
            "four stages (layer1 to layer4) with torchvision's blocks, of any number and width: ResNet-18, "
            "34, 50, …"
        )
    inside = [theirs for originals in file.originals.values() for theirs in originals.values()]
    raise InputError(
        f"{path}: no ResNet inside; its {len(inside)} tensors are {', '.join(inside[:3])}, …: name a file "
        "with a convolutional network's conv1, bn1 and layer1 to layer4"
    )


def _prefixes(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Prefixes under which an image network begins, with named layers or as an ``nn.Sequential``."""
    for name, tensor in tensors.items():
        begins = re.fullmatch(r"(|.*\.)(conv1|0)\.weight", name)
        if begins and tensor.ndim == 4 and tensor.shape[1] == 3:
            yield begins[1]


def _are_equal(file: WeightsFile, one: Backbone, other: Backbone) -> bool:
    """Whether both are one network under two names."""
    tensors, others = file.state_dicts[one.place], file.state_dicts[other.place]
    return one.names.keys() == other.names.keys() and all(
        torch.equal(tensors[theirs], others[other.names[ours]]) for ours, theirs in one.names.items()
    )


def _recognised(tensors: Mapping[str, Tensor], place: str, prefix: str) -> Backbone:
    """The ResNet under ``prefix``.

    A stem's stride leaves no trace in shapes: 3 x 3 is taken for ``small``.

    Raises:
        NotOursError: a tensor is missing, has another shape, or belongs to a layer that ours has not.
    """
    names = _our_names(tensors, prefix)
    shapes = {ours: tensors[theirs].shape for ours, theirs in names.items()}
    width, _, *kernel = shapes["conv1.weight"]
    stems = [name for name, (size, *_) in STEMS.items() if kernel == [size, size]]
    if not stems:
        raise NotOursError(f"its first convolution is {'x'.join(map(str, kernel))}; ours are 7x7 or 3x3")
    blocks = []
    for stage in range(1, 5):
        numbers = {int(m[1]) for name in shapes if (m := re.match(rf"layer{stage}\.(\d+)\.", name))}
        if not numbers:
            raise NotOursError(f"it has no layer{stage}")
        blocks.append(max(numbers) + 1)
    kind = "resnet50" if "layer1.0.conv3.weight" in shapes else "resnet18"
    same = [name for name, own in RESNETS.items() if own == (RESNETS[kind][0], tuple(blocks))]
    settings = {
        "name": same[0] if same else kind,
        "blocks": None if same else blocks,
        "width": width,
        "stem": stems[0],
    }
    require_same_shapes(shapes, backbone_on_meta(settings))
    return Backbone(place, prefix, settings, names)


def _our_names(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, str]:
    """Their names by ours, of all tensors that lie in the parts of a ResNet."""
    below = {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
    numbered = {}
    if "conv1.weight" not in below:  # an nn.Sequential: its stages are the entries that hold blocks
        stages = sorted({int(m[1]) for name in below if (m := re.match(r"(\d+)\.\d+\.conv1\.weight$", name))})
        numbered = {"0": "conv1", "1": "bn1", **{str(i): f"layer{n}" for n, i in enumerate(stages, 1)}}
    names = {}
    for name, theirs in below.items():
        part, _, rest = name.partition(".")
        part = numbered.get(part, part)
        if re.fullmatch(r"conv1|bn1|layer\d+", part):
            rest = ".".join(ALIASES.get(word, word) for word in rest.split("."))
            names[f"{part}.{rest}"] = theirs
    return names


def backbone_on_meta(settings: dict) -> ResNet:
    """The backbone that ``settings`` build, with shapes alone: no memory, no random numbers."""
    with torch.device("meta"):
        return build_backbone(settings)


def require_same_shapes(theirs: Mapping[str, torch.Size], ours: nn.Module) -> None:
    """Refuse tensors, by our names, that do not fill ``ours`` exactly.

    Raises:
        NotOursError: a tensor is missing (other than counters), has another shape, or is not in ours.
    """
    shapes = {name: tensor.shape for name, tensor in ours.state_dict().items()}
    for name, shape in shapes.items():
        if name not in theirs:
            if not name.endswith(COUNTER):
                raise NotOursError(f"it has no {name}")
        elif theirs[name] != shape:
            raise NotOursError(f"its {name} has shape {list(theirs[name])}, ours {list(shape)}")
    if more := [name for name in theirs if name not in shapes]:
        raise NotOursError(f"it has {more[0]}, a layer that ours has not")
