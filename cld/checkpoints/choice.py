"""Choosing what to read of a file: which of its networks, and by whose layout."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cld.checkpoints.layouts import LAYOUTS
from cld.checkpoints.projections import places_in
from cld.checkpoints.resnets import Network, NotOursError, find_network, prefixes, shown
from cld.checkpoints.weights_file import WeightsFile
from cld.runtime.errors import InputError


def choose_network(
    path: str | Path,
    state_dicts: Mapping[str, Mapping[str, tuple[str, Tensor]]],
    layout: str,
    prefix: str | None,
) -> tuple[Network, list[str]]:
    """The backbone to import, and the other networks of the file in words.

    A network trained by gradient is preferred to one that follows it (key, momentum, teacher, target).

    Raises:
        InputError: there is none, or several are equally good and differ.
    """
    found: list[Network] = []
    refused: list[tuple[str, str]] = []
    for place, tensors in state_dicts.items():
        plain = {name: tensor for name, (_, tensor) in tensors.items()}
        for begin in prefixes(plain):
            try:
                found.append(find_network(plain, place, begin))
            except NotOursError as error:
                refused.append((shown(place, begin), str(error)))
    fitting = [network for network in found if _fits(network, layout, prefix)]
    if not fitting:
        raise InputError(f"{path}: {_nothing_found(found, refused, state_dicts, layout, prefix)}")
    best = min(network.rank for network in fitting)
    first, *rest = [network for network in fitting if network.rank == best]
    for other in rest:
        if not _same_weights(state_dicts, first, other):
            names = ", ".join(f"'{network.prefix}'" for network in (first, *rest))
            raise InputError(
                f"{path}: holds networks that are equally good ({', '.join(map(str, (first, *rest)))}); "
                f"choose by --prefix ({names}), or save one alone"
            )
    others = [f"{network}" for network in found if network is not first]
    return first, others + [f"{where} ({why})" for where, why in refused]


def _fits(network: Network, layout: str, prefix: str | None) -> bool:
    if prefix is not None:
        return network.prefix == prefix
    return layout == "auto" or layout in places_in(network)


def _nothing_found(
    found: list[Network],
    refused: list[tuple[str, str]],
    state_dicts: Mapping,
    layout: str,
    prefix: str | None,
) -> str:
    if found:
        asked = f"--layout {layout}" if prefix is None else f"--prefix '{prefix}'"
        return f"no network fits {asked}; it has {', '.join(map(str, found))}: choose one, or leave it out"
    if refused:
        where, why = refused[0]
        return f"the network under {where} is none of ours: {why}; ResNets by torchvision's names can be read"
    names = [theirs for tensors in state_dicts.values() for theirs, _ in tensors.values()]
    return (
        f"no ResNet inside; its {len(names)} tensors are {', '.join(names[:3])}, …: name a file with a "
        "convolutional network's conv1, bn1 and layer1 to layer4"
    )


def _same_weights(state_dicts: Mapping, one: Network, other: Network) -> bool:
    """Whether both are one network under two names."""
    if one.names.keys() != other.names.keys():
        return False
    return all(
        torch.equal(state_dicts[one.place][name][1], state_dicts[other.place][other.names[ours]][1])
        for ours, name in one.names.items()
    )


def find_layout(tensors: Mapping[str, Tensor], network: Network, file: WeightsFile, asked: str) -> str | None:
    """The layout asked for, else the first that keeps a network here and has a mark in the file."""
    places = places_in(network)
    if asked != "auto":
        return asked if asked in places else None
    marked = [
        name
        for name, (_, lead) in places.items()
        if set(LAYOUTS[name].entries) & set(file.entries)
        or any(
            f"{theirs}.".startswith(f"{lead}{mark}.") for mark in LAYOUTS[name].marks for theirs in tensors
        )
    ]
    return next(iter([*marked, *places]), None)
