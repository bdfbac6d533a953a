"""Features of a store's split under a run's encoder, with the transforms of testing (no augmentation)."""

import torch
from torch import Tensor, nn

from cld.augment import normalise
from cld.store import Split, StoreInfo

BATCH = 512


@torch.inference_mode()
def extract_features(encoder: nn.Module, split: Split, info: StoreInfo, device: torch.device) -> Tensor:
    """Encode every image of ``split`` once, in order.

    Returns:
        features (N, dim), on ``device``.
    """
    encoder = encoder.to(device).eval()
    batches = torch.from_numpy(split.images).split(BATCH)
    return torch.cat([encoder(normalise(batch.to(device), info.mean, info.std)) for batch in batches])
