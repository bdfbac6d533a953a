"""The losses that are no plain cross-entropy: cross-level, over a bank or queue, and noise-contrastive."""

import math

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

#: Similarities that log_partition holds at a time: 1 MiB, a CPU core's cache; on a GPU as many as fill it.
TILE, GPU_TILE = 1 << 18, 1 << 25


def cross_level_loss(
    features1: Tensor,
    features2: Tensor,
    labels1: Tensor,
    labels2: Tensor,
    centroids1: Tensor,
    centroids2: Tensor,
    temperature: float,
) -> Tensor:
    """Cross-level discrimination loss between two views of a batch.

    Each view's instances are to find their group among the *other* view's groups:
    ½ [CE(f1 · C2ᵀ / T, labels2) + CE(f2 · C1ᵀ / T, labels1)]. Without cross-augmentation (section 5) a view
    is compared with its own groups: pass the two views' labels and centroids swapped.

    Call it in float32, outside autocast: half precision is too coarse for logits divided by a temperature.

    Args:
        features1, features2: (N, D), unit rows: the group features of the two views of the same N images.
        labels1, labels2: (N,) int64, the group of each image by clustering view 1 and view 2.
        centroids1, centroids2: (K1, D) and (K2, D), means of each group's features. The gradient reaches the
            features they were made from too; detach them to treat them as constants.
        temperature: T_G.

    Returns:
        The loss, a scalar.
    """
    first = instance_group_loss(features1, labels2, centroids2, temperature)
    second = instance_group_loss(features2, labels1, centroids1, temperature)
    return (first + second) / 2


def instance_group_loss(features: Tensor, labels: Tensor, centroids: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of telling each feature's group among the groups' centroids.

    Groups that ``labels`` give no member are left out of the softmax: their centroids mean nothing. The
    clusterings of :mod:`cld.clustering` leave no group empty; a caller's own labels may.

    Args:
        features: (N, D).
        labels: (N,) int64, the group of each feature.
        centroids: (K, D).
        temperature: T_G.

    Returns:
        The mean over the N features, a scalar.
    """
    logits = features @ centroids.T / temperature  # (N, K)
    is_empty = torch.ones_like(centroids[:, 0], dtype=torch.bool).index_fill(0, labels, False)
    return F.cross_entropy(logits.masked_fill(is_empty, -torch.inf), labels)


@torch.compiler.disable  # a compiler would unroll the tiles, and may hold them all
def log_partition(features: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """Log of the sum over all rows r of exp(f · r / T), for each feature f, in bounded memory.

    What ``(features @ rows.T / T).logsumexp(dim=1)`` is, without ever holding all similarities: they are made
    tile by tile, and the gradient, the softmax's mean of the rows over T, in the same pass.

    Args:
        features: (B, D).
        rows: (N, D), constants such as a memory bank or a queue: they get no gradient.
        temperature: T.

    Returns:
        (B,). It can be differentiated once.
    """
    return _LogPartition.apply(features, rows, temperature)


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, features: Tensor, rows: Tensor, temperature: float) -> Tensor:
        scaled = features / temperature
        top = torch.full_like(scaled[:, :1], -torch.inf)  # the largest logit so far
        total = torch.zeros_like(top)  # of exp(logit - top)
        mean = torch.zeros_like(scaled)  # of the rows, with these weights, times the total
        tile = GPU_TILE if features.is_cuda else TILE
        for some in rows.split(max(tile // len(features), 1)):
            logits = scaled @ some.T
            new_top = torch.maximum(top, logits.amax(dim=1, keepdim=True))
            weights = logits.sub_(new_top).exp_()
            shrink = (top - new_top).exp_()
            total.mul_(shrink).add_(weights.sum(dim=1, keepdim=True))
            mean.mul_(shrink).addmm_(weights, some)
            top = new_top
        ctx.save_for_backward(mean / (total * temperature))
        return (top + total.log()).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (of_features,) = ctx.saved_tensors
        return gradient[:, None] * of_features, None, None


def nce_loss(logits: Tensor, n_images: int, log_z: Tensor) -> Tensor:
    """Noise-contrastive estimation of the softmax over all training images (Wu et al. 2018, section 3.2).

    An image's own row is to be told from K rows drawn uniformly from the training set: with
    p = exp(logit) / Z and noise c = K / N, the loss is -log(p_own / (p_own + c)) - Σ log(c / (p_drawn + c)).

    Args:
        logits: (B, 1 + K), similarities over T: first to the image's own row, then to the drawn ones.
        n_images: N.
        log_z: scalar, log of the softmax's normalisation constant Z.

    Returns:
        The mean over the batch, a scalar.
    """
    odds = logits - log_z - math.log((logits.shape[1] - 1) / n_images)  # log(p / c)
    return (F.softplus(-odds[:, 0]) + F.softplus(odds[:, 1:]).sum(dim=1)).mean()


def estimate_log_z(logits: Tensor, n_images: int) -> Tensor:
    """Log of the normalisation constant from one batch: N times the mean of exp(logit) (section 3.2)."""
    return logits.detach().flatten().logsumexp(dim=0) - math.log(logits.numel() / n_images)
