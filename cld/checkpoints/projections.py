"""Finding the projection head that belongs to a network, and telling which kind of ours it is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from cld.checkpoints.layouts import (
    CLASSIFIER_NAMES,
    CLASSIFIER_OUTPUTS,
    LAYOUTS,
    LEADS,
    MAX_PROJECTION,
    Head,
)
from cld.checkpoints.resnets import Network


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


def places_in(network: Network) -> dict[str, tuple[str, str]]:
    """Layouts that keep a network where this one is: each one's prefix and the lead before it, by name."""
    found = {}
    for layout_name, layout in LAYOUTS.items():
        for prefix in layout.networks:
            lead = network.prefix.removesuffix(prefix) if prefix else network.prefix
            if f"{lead}{prefix}" == network.prefix and lead in LEADS:
                found.setdefault(layout_name, (prefix, lead))
    return found


def find_projection(
    tensors: Mapping[str, Tensor], network: Network, layout: str | None, features: int
) -> Projection:
    """The head that ``layout`` keeps beside ``network``; kind ``none`` if there is none that ours can be.

    Args:
        tensors: by name without wrappers.
        network: where the backbone is.
        layout: name of the layout; None: nothing is known of its heads.
        features: D, the backbone's.
    """
    if layout is None:
        return Projection("none", features, why="no known layout keeps a head beside it")
    prefix, lead = places_in(network)[layout]
    for head in LAYOUTS[layout].networks[prefix]:
        parts = [f"{lead}{name}" for name in (*head.layers, head.norm) if name]
        if all(f"{part}.weight" in tensors for part in parts):
            return _as_ours(tensors, head, lead, features)
    return Projection("none", features, why="it has no projection head")


def _as_ours(tensors: Mapping[str, Tensor], head: Head, lead: str, features: int) -> Projection:
    layers = [f"{lead}{name}" for name in head.layers]
    norm = f"{lead}{head.norm}" if head.norm else None
    title = " + ".join(layers)

    def none(why: str) -> Projection:
        return Projection("none", features, why=f"{title}: {why}")

    if head.unlike_ours:
        return none(head.unlike_ours)
    theirs = _tensors_of(tensors, [*layers, norm] if norm else layers)
    roots = tuple(re.sub(r"(\.\d+)+$", "", layer) + "." for layer in layers)
    if more := [name for name in tensors if name.startswith(roots) and name not in theirs]:
        return none(f"has {more[0]} as well, which ours has not")
    *hidden_layers, last = layers
    width, names, kind = features, {}, "linear"
    for hidden in hidden_layers:
        shape = tuple(tensors[f"{hidden}.weight"].shape)
        if len(shape) != 2 or shape[1] != features or f"{hidden}.bias" not in tensors:
            return none(f"{hidden}.weight {list(shape)} takes no {features} features, or has no bias")
        width, kind = shape[0], "mlp_bn" if norm else "mlp"
        names = _renamed(theirs, hidden, "0.") | (_renamed(theirs, norm, "1.") if norm else {})
    place = {"linear": "", "mlp": "2.", "mlp_bn": "3."}[kind]
    names |= _renamed(theirs, last, place)
    shape = tuple(tensors[f"{last}.weight"].shape)
    if f"{last}.bias" in tensors:
        dim, inputs = (*shape, None)[:2]
    elif norm or len(set(shape)) == 1:
        return none(f"{last} has no bias" + ("" if norm else ", so linear and norm_linear look alike"))
    else:  # in x out without bias: cosines with the weight's columns
        inputs, dim = (*shape, None)[:2]
        kind = f"norm_{kind}"
    if len(shape) != 2 or inputs != width:
        return none(f"{last}.weight {list(shape)} takes no {width} features")
    is_classifier = dim in CLASSIFIER_OUTPUTS or dim > MAX_PROJECTION
    if not hidden_layers and last.rpartition(".")[2] in CLASSIFIER_NAMES and is_classifier:
        return none(f"a classifier of {dim} classes")
    return Projection(kind, dim, width if hidden_layers and width != features else None, names)


def _tensors_of(tensors: Mapping[str, Tensor], layers: list[str]) -> list[str]:
    return [name for name in tensors if name.rpartition(".")[0] in layers]


def _renamed(theirs: list[str], layer: str, place: str) -> dict[str, str]:
    """Their names of a layer's tensors, by ours."""
    return {place + name.rpartition(".")[2]: name for name in theirs if name.rpartition(".")[0] == layer}
