"""Projection heads: from a backbone's features to the space of a loss. None normalises its output."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cld.runtime.errors import InputError


class NormLinear(nn.Module):
    """Linear layer of cosines: input rows and weight columns at unit length, no bias (authors' NormLinear).

    Attributes:
        weight: (in_features, out_features); random directions at first.
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.rand(in_features, out_features) * 2 - 1, dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """Cosines (B, out_features) between the rows of ``x`` (B, in_features) and the weight's columns."""
        return F.normalize(x, dim=1) @ F.normalize(self.weight, dim=0)


def mlp(in_features: int, out_features: int, hidden: int, last: type[nn.Module] = nn.Linear) -> nn.Module:
    """Linear, ReLU, and a ``last`` layer (MoCo v2)."""
    return nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(inplace=True), last(hidden, out_features))


def mlp_bn(in_features: int, out_features: int, hidden: int) -> nn.Module:
    """Linear, batch normalisation, ReLU, linear (BYOL's projector and predictor)."""
    return nn.Sequential(
        nn.Linear(in_features, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, out_features),
    )


#: Heads by kind, of (in_features, out_features, hidden); ``none`` hands on the backbone's features, for
#: networks whose head is not known.
HEADS: dict[str, Callable[..., nn.Module]] = {
    "linear": lambda in_features, out_features, hidden: nn.Linear(in_features, out_features),
    "norm_linear": lambda in_features, out_features, hidden: NormLinear(in_features, out_features),
    "mlp": mlp,
    "norm_mlp": partial(mlp, last=NormLinear),
    "mlp_bn": mlp_bn,
    "none": lambda in_features, out_features, hidden: nn.Identity(),
}


def build_head(kind: str, in_features: int, out_features: int, hidden: int | None = None) -> nn.Module:
    """A head from ``in_features`` to ``out_features``.

    Args:
        kind: ``linear``, ``norm_linear``, ``mlp`` (ReLU), ``norm_mlp`` (its last layer a NormLinear),
            ``mlp_bn`` (batch normalisation and ReLU) or ``none`` (the features themselves).
        hidden: width of an MLP's hidden layer; None: as wide as its input.

    Raises:
        InputError: ``none`` is asked to change the number of features.
    """
    if kind == "none" and out_features != in_features:
        raise InputError(f"head.dim {out_features}: head.kind none keeps the backbone's; set {in_features}")
    return HEADS[kind](in_features, out_features, hidden or in_features)
