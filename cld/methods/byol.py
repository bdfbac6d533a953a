"""BYOL: Grill et al., Bootstrap Your Own Latent, NeurIPS 2020.

The online network predicts, from each view, what a slowly following target network makes of every other view.
No negatives. As in the paper both networks normalise a batch by its own statistics.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cld.methods.base import Method, StepOutput
from cld.methods.encoder import Encoder, build_encoder
from cld.models.ema_update import ema_update_
from cld.models.heads import mlp_bn
from cld.runtime.errors import InputError


class BYOL(Method):
    """Predict a target network's projection of one view from the other."""

    def __init__(self, encoder: Encoder, predictor: nn.Module, momentum: float):
        super().__init__()
        self.encoder, self.predictor, self.momentum = encoder, predictor, momentum
        self.target = copy.deepcopy(encoder).requires_grad_(False)

    @classmethod
    def from_config(cls, config: Mapping, n_images: int) -> "BYOL":
        """The method of a run's configuration; nothing of it grows with ``n_images``.

        Raises:
            InputError: there is no second view to predict.
        """
        if config["views"] < 2:
            raise InputError(f"views {config['views']}: BYOL predicts one view from another; set views=2")
        encoder = build_encoder(config, config["precision"])
        dim, hidden = config["head"]["dim"], config["head"]["hidden"] or encoder.backbone.out_features
        return cls(encoder, mlp_bn(dim, dim, hidden), config["byol"]["momentum"])

    def forward(self, views: Sequence[Tensor], index: Tensor) -> StepOutput:
        encoded = [self.encoder.encode(view) for view in views]
        predictions = [F.normalize(self.predictor(view.projection), dim=1) for view in encoded]  # V of B, d
        with torch.no_grad():
            targets = [self.target(view) for view in views]  # V of (B, d)
        pairs = list(permutations(range(len(views)), 2))
        similarity = torch.stack([(predictions[i] * targets[j]).sum(dim=1).mean() for i, j in pairs])
        loss = (2 - 2 * similarity).sum() * 2 / len(pairs)  # with two views: L(1, 2) + L(2, 1)
        return StepOutput(
            loss,
            encoded,
            logs={"instance_loss": loss.detach(), "positive_similarity": similarity.detach().mean()},
        )

    @torch.no_grad()
    def after_step(self, step: StepOutput, progress: float) -> None:
        ema_update_(self.target, self.encoder, rising(self.momentum, progress))


def rising(momentum: float, progress: float) -> float:
    """The target's momentum: from ``momentum`` to 1 along a cosine, as ``progress`` goes from 0 to 1."""
    return 1 - (1 - momentum) * (1 + math.cos(math.pi * progress)) / 2
