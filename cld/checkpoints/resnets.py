"""Finding ResNets among named tensors, and telling from their shapes which they are."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cld.checkpoints.layouts import ALIASES, MOMENTUM_WORDS, ONLINE_WORDS, WRAPPERS
from cld.models.backbones import RESNETS, STEMS, ResNet, build_backbone

_PART = re.compile(r"conv1|bn1|layer\d+")
#: Counters that evaluation does not read; PyTorch before 0.4.1 did not save them.
COUNTER = "num_batches_tracked"


class NotOursError(Exception):
    """A network that the project's ResNet cannot hold; says why."""


@dataclass(frozen=True)
class Network:
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
    """A network's place and prefix as a message shows them."""
    return f"{place}: {prefix or 'bare names'}" if place else prefix or "bare names"


def unwrapped(name: str) -> str:
    """A tensor's name without what DistributedDataParallel and torch.compile add."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def prefixes(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Prefixes under which an image network begins, with named layers or as an ``nn.Sequential``."""
    for name, tensor in tensors.items():
        begins = re.fullmatch(r"(|.*\.)(conv1|0)\.weight", name)
        if begins and tensor.ndim == 4 and tensor.shape[1] == 3:
            yield begins[1]


def find_network(tensors: Mapping[str, Tensor], place: str, prefix: str) -> Network:
    """The ResNet under ``prefix``.

    Raises:
        NotOursError: a tensor is missing, has another shape, or belongs to a layer that ours has not.
    """
    names = _our_names(tensors, prefix)
    settings = recognise({ours: tuple(tensors[theirs].shape) for ours, theirs in names.items()})
    return Network(place, prefix, settings, names)


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
        if _PART.fullmatch(part):
            rest = ".".join(ALIASES.get(word, word) for word in rest.split("."))
            names[f"{part}.{rest}"] = theirs
    return names


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict:
    """The ``backbone`` section of the ResNet with tensors of these shapes, by our names.

    A stem's stride leaves no trace in shapes: 3 x 3 is taken for ``small``.

    Raises:
        NotOursError: no section of ours builds such a network.
    """
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
    same = [
        name for name, (block, own) in RESNETS.items() if block is RESNETS[kind][0] and list(own) == blocks
    ]
    settings = {
        "name": same[0] if same else kind,
        "blocks": None if same else blocks,
        "width": width,
        "stem": stems[-1] if stems[-1] == "imagenet" else "small",
    }
    ours = {name: tuple(tensor.shape) for name, tensor in _on_meta(settings).state_dict().items()}
    _require_same(shapes, ours)
    return settings


def out_features(settings: dict) -> int:
    """D, the number of features of the backbone that ``settings`` build."""
    return _on_meta(settings).out_features


def _on_meta(settings: dict) -> ResNet:
    with torch.device("meta"):  # shapes alone: no memory, no random numbers
        return build_backbone(settings)


def _require_same(theirs: Mapping[str, tuple], ours: Mapping[str, tuple]) -> None:
    for name, shape in ours.items():
        if name not in theirs:
            if not name.endswith(COUNTER):
                raise NotOursError(f"it has no {name}")
        elif theirs[name] != shape:
            raise NotOursError(f"its {name} has shape {list(theirs[name])}, ours {list(shape)}")
    if more := [name for name in theirs if name not in ours]:
        raise NotOursError(f"it has {more[0]}, a layer that ours has not")
