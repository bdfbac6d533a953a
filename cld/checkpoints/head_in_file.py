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
    Head,
    places_by_layout,
)
from cld.models.heads import build_head


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
        layers = [f"{lead}{name}" for name in head.layers]
        norm = [f"{lead}{head.norm}"] if head.norm else []
        if all(f"{layer}.weight" in tensors for layer in layers + norm):
            try:
                return _as_ours(tensors, head, layers, norm, features)
            except NotOursError as error:
                return Projection("none", features, why=f"{' + '.join(layers)}: {error}")
    return Projection("none", features, why="it has no projection head")


def _as_ours(
    tensors: Mapping[str, Tensor], head: Head, layers: list[str], norm: list[str], features: int
) -> Projection:
    """Theirs as one of ours.

    Raises:
        NotOursError: none of ours has these layers and shapes, or it is a classifier.
    """
    if head.unlike_ours:
        raise NotOursError(head.unlike_ours)
    *hidden, last = layers
    kind = "mlp_bn" if norm else "mlp" if hidden else "linear"
    places = {layer: f"{place}." for place, layer in enumerate(hidden + norm)}
    places[last] = {"linear": "", "mlp": "2.", "mlp_bn": "3."}[kind]
    roots = tuple(re.sub(r"(\.\d+)+$", "", layer) + "." for layer in layers)
    names = {}
    for name in tensors:
        layer, _, part = name.rpartition(".")
        if layer in places:
            names[places[layer] + part] = name
        elif name.startswith(roots):
            raise NotOursError(f"has {name} as well, which ours has not")
    weight = tensors[f"{last}.weight"]
    if weight.ndim != 2:
        raise NotOursError(f"{last}.weight {list(weight.shape)} is no linear layer's")
    dim, inputs = weight.shape
    if f"{last}.bias" not in tensors:  # in x out without bias: cosines with the weight's columns
        if norm:
            raise NotOursError(f"{last} has no bias")
        if dim == inputs:
            raise NotOursError(f"{last} has no bias, so linear and norm_linear look alike")
        kind, dim = f"norm_{kind}", inputs
    width = len(tensors[f"{hidden[0]}.weight"]) if hidden else features
    with torch.device("meta"):  # shapes alone
        ours = build_head(kind, features, dim, width)
    require_same_shapes({name: tensors[theirs].shape for name, theirs in names.items()}, ours)
    is_classifier = dim in CLASSIFIER_OUTPUTS or dim > MAX_PROJECTION
    if not hidden and last.rpartition(".")[2] in CLASSIFIER_NAMES and is_classifier:
        raise NotOursError(f"a classifier of {dim} classes")
    return Projection(kind, dim, width if width != features else None, names)
