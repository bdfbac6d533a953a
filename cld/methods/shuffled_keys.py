"""Shuffled batch normalisation: keys are encoded in other parts of a batch than their queries."""

import torch
from torch import Tensor, nn

from cld.models.running_statistics import running_statistics
from cld.runtime.distributed import all_gather, rank, world_size


@torch.no_grad()
def encode_shuffled(encode: nn.Module, images: Tensor, n_parts: int) -> Tensor:
    """Encode a batch in parts that are not those of its queries (He et al. 2020, MoCo, section 3.3).

    Batch normalisation would otherwise tell a query which key is its own: both would have been normalised
    with the same other images. The batch of all processes is shuffled, encoded in as many parts as it has,
    and put back in order. One part in all has nothing to shuffle. The first part alone updates the running
    averages of batch normalisation.

    Args:
        encode: images (b, 3, S, S) to features (b, d).
        images: (B, 3, S, S), what this process has of the batch.
        n_parts: how many parts this process has.

    Returns:
        (B, d), in the order of ``images``. The shuffle is drawn from torch's global generator, which has to
        be in the same state in every process.
    """
    if n_parts * world_size() == 1:
        return encode(images)
    batch = all_gather(images)
    order = torch.randperm(len(batch)).to(batch.device)
    own = order.chunk(world_size())[rank()]
    encoded = []
    for rows in own.chunk(n_parts):
        with running_statistics(encode, updated=not encoded):
            encoded.append(encode(batch[rows]))
    features = all_gather(torch.cat(encoded))
    return features[order.argsort()].chunk(world_size())[rank()]
