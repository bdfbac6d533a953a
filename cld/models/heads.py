"""Projection heads: from a backbone's features to the space of a loss. None normalises its output."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cld.errors import InputError


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


def _mlp(last: type[nn.Module], in_features: int, out_features: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(in_features, in_features), nn.ReLU(inplace=True), last(in_features, out_features)
    )


HEADS = {
    "linear": nn.Linear,
    "norm_linear": NormLinear,
    "mlp": lambda in_features, out_features: _mlp(nn.Linear, in_features, out_features),
    "norm_mlp": lambda in_features, out_features: _mlp(NormLinear, in_features, out_features),
}


def build_head(kind: str, in_features: int, out_features: int) -> nn.Module:
    """A head from ``in_features`` to ``out_features``; an MLP's hidden layer is as wide as its input.

    Args:
        kind: ``linear``, ``norm_linear``, ``mlp`` (ReLU) or ``norm_mlp`` (its last layer a NormLinear).

    Raises:
        InputError: there is no such kind.
    """
    if kind not in HEADS:
        raise InputError(f"head.kind '{kind}' is unknown: choose one of {', '.join(HEADS)}")
    return HEADS[kind](in_features, out_features)
