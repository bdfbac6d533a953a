"""The trained network: a backbone and the head of the instance loss."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cld.models.backbones import build_backbone
from cld.models.heads import build_head

#: What the backbone computes in, where that is not float32.
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Encoded(NamedTuple):
    """One view of a batch.

    Attributes:
        features: (B, D), the backbone's.
        projection: (B, d), the instance head's.
        embedding: (B, d), the same with unit rows.
    """

    features: Tensor
    projection: Tensor
    embedding: Tensor


class Encoder(nn.Module):
    """Images to instance features.

    Args:
        backbone: (B, 3, S, S) to (B, D).
        head: (B, D) to (B, d).
        precision: ``fp32``, ``bf16`` or ``fp16``: the last two run the backbone, which is nearly all of a
            step's work, under autocast. Heads and losses stay in float32: logits divided by a temperature
            need its digits.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, precision: str = "fp32"):
        super().__init__()
        self.backbone, self.head, self.precision = backbone, head, precision

    def encode(self, images: Tensor) -> Encoded:
        """Backbone features and instance features of normalised ``images`` (B, 3, S, S)."""
        dtype = AUTOCAST.get(self.precision)
        with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
            features = self.backbone(images)  # B, D
        features = features.float()
        projection = self.head(features)  # B, d
        return Encoded(features, projection, F.normalize(projection, dim=1))

    def forward(self, images: Tensor) -> Tensor:
        """Instance features (B, d), unit rows, of normalised ``images`` (B, 3, S, S)."""
        return self.encode(images).embedding


def build_encoder(config: Mapping, precision: str = "fp32") -> Encoder:
    """The encoder of a run's configuration, with fresh weights from torch's global generator."""
    backbone = build_backbone(config["backbone"])
    return Encoder(backbone, build_projection(config, backbone.out_features), precision)


def build_projection(config: Mapping, in_features: int) -> nn.Module:
    """A head of the kind that a run's configuration asks for, with fresh weights."""
    head = config["head"]
    return build_head(head["kind"], in_features, head["dim"], head.get("hidden"))
