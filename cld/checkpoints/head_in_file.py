"""The projection head beside a backbone in a file, and which kind of ours it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cld.checkpoints.backbones_in_file import NotOursError, require_same_shapes
from cld.checkpoints.layouts import (
    CLASSIFIER_NAMES,
    CLASSIFIER_OUTPUTS,
    LAYOUTS,
    MAX_PROJECTION,
    WITHOUT_RELU,
    places_by_layout,
)
from cld.models.heads import build_head

#: Our heads by their number of layers: kind, and what the layers' names begin with.
OURS = {1: ("linear", ("",)), 2: ("mlp", ("0.", "2.")), 3: ("mlp_bn", ("0.", "1.", "3."))}


@dataclass(frozen=True)
class Projection:
    """A head of ours that theirs fills.

    Attributes:
        kind, dim, hidden: the ``head`` section that builds it.
        names: their name of each tensor, by ours.
        why: for ``none``, why no head of theirs is used.
    """

    kind: str
    dim: int
    hidden: int | None = None
    names: dict[str, str] = field(default_factory=dict)
    why: str = ""


def find_projection(
    tensors: Mapping[str, Tensor], prefix: str, layout: str | None, features: int
) -> Projection:
    """The head that ``layout`` keeps beside a backbone; kind ``none`` if there is none that ours can be.

    Args:
        tensors: by name without wrappers.
        prefix: of the backbone's names.
        layout: name of the layout; None: nothing is known of its heads.
        features: D, the backbone's.
    """
    if layout is None:
        return Projection("none", features, why="no known layout keeps a head beside it")
    own_prefix, lead = places_by_layout(prefix)[layout]
    for head in LAYOUTS[layout].networks[own_prefix]:
        layers = [f"{lead}{name}" for name in head]
        if all(f"{layer}.weight" in tensors for layer in layers):
            try:
                if head in WITHOUT_RELU:
                    raise NotOursError("two layers without ReLU between them")
                return _as_ours(tensors, layers, features)
            except NotOursError as error:
                return Projection("none", features, why=f"{' + '.join(layers)}: {error}")
    return Projection("none", features, why="it has no projection head")


def _as_ours(tensors: Mapping[str, Tensor], layers: list[str], features: int) -> Projection:
    """Theirs as one of ours.

    Raises:
        NotOursError: none of ours has these layers and shapes, or it is a classifier.
    """
    first, last = layers[0], layers[-1]
    kind, own_layers = OURS[len(layers)]
    own_names = dict(zip(layers, own_layers, strict=True))
    roots = tuple(re.sub(r"(\.\d+)+$", "", layer) + "." for layer in layers)
    names = {}
    for name in tensors:
        layer, _, part = name.rpartition(".")
        if layer in own_names:
            names[own_names[layer] + part] = name
        elif name.startswith(roots):
            raise NotOursError(f"has {name} as well, which ours has not")
    weight = tensors[f"{last}.weight"]
    if weight.ndim != 2:
        raise NotOursError(f"{last}.weight {list(weight.shape)} is no linear layer's")
    dim, inputs = weight.shape
    if f"{last}.bias" not in tensors:  # in x out without bias: cosines with the weight's columns
        if kind == "mlp_bn":
            raise NotOursError(f"{last} has no bias")
        if dim == inputs:
            raise NotOursError(f"{last} has no bias, so linear and norm_linear look alike")
        kind, dim = f"norm_{kind}", inputs
    width = features if first == last else len(tensors[f"{first}.weight"])
    with torch.device("meta"):  # shapes alone
        ours = build_head(kind, features, dim, width)
    require_same_shapes({name: tensors[theirs].shape for name, theirs in names.items()}, ours)
    is_classifier = dim in CLASSIFIER_OUTPUTS or dim > MAX_PROJECTION
    if first == last and last.rpartition(".")[2] in CLASSIFIER_NAMES and is_classifier:
        raise NotOursError(f"a classifier of {dim} classes")
    return Projection(kind, dim, width if width != features else None, names)
