"""The backbone of a run, without the head that its loss was computed on: what classifiers stand on."""

from pathlib import Path

import torch
from torch import nn

from cld.data import StoreInfo
from cld.data.decoding import view_side
from cld.runtime.errors import InputError
from cld.training.checkpoint import load_encoder


def load_backbone(
    checkpoint: str | Path, info: StoreInfo, device: torch.device
) -> tuple[nn.Module, dict, int]:
    """A run's backbone without its head, in evaluation mode.

    Returns:
        The module from normalised images (B, 3, S, S) to (B, ``out_features``), the run's configuration, and
        the side S of what it sees of the store's images.

    Raises:
        InputError: see :func:`cld.training.checkpoint.load_encoder`; or the network cannot take in images of
            this size.
    """
    encoder, config = load_encoder(checkpoint, device)
    backbone, side = encoder.backbone, view_side(config["image_size"], info)
    try:
        with torch.inference_mode():
            backbone(torch.zeros(1, 3, side, side, device=device))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{checkpoint}: its architecture ({config['backbone']['name']}) takes no images of {side} x "
            f"{side} pixels ({reason}); train with another image_size or backbone"
        ) from None
    return backbone, config, side
