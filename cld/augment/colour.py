"""Operations on the colours of a batch's images: grey, jitter, hue and solarisation, as in torchvision."""

import torch
from torch import Tensor

from cld.augment.per_sample import apply_where_, to_device

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # columns of the jitter's factors
NEUTRAL = (1.0, 1.0, 1.0, 0.0)  # factors that change nothing
LUMA = (0.2989, 0.587, 0.114)  # weights of red, green and blue in grey, as torchvision has them


def luma(images: Tensor) -> Tensor:
    """Grey (B, 1, H, W) of ``images`` (B, 3, H, W)."""
    red, green, blue = images.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def solarize(images: Tensor) -> Tensor:
    """Invert what is at least half bright."""
    return torch.where(images >= 0.5, 1 - images, images)


def colour_jitter_(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue, as torchvision's ``adjust_*`` do, in place.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        factors: (B, 4) on the CPU: brightness, contrast and saturation factors, hue shift in turns.
        order: int64 (B, 4) on the CPU: each sample's permutation of the four columns of ``factors``.

    Returns:
        ``images``.
    """
    hue = factors[:, HUE]
    n_before_hue = (order == HUE).to(torch.uint8).argmax(dim=1)
    others = order[order != HUE].view(-1, 3)
    for step in range(4):
        apply_where_(images, (n_before_hue == step) & (hue != 0), shift_hue, hue)
        if step < 3:
            operation = others[:, step : step + 1]
            _blend_(images, operation[:, 0], factors.gather(1, operation)[:, 0])
    return images


def _blend_(images: Tensor, operation: Tensor, factor: Tensor) -> None:
    """Blend each image with black, its mean grey or its grey image: brightness, contrast or saturation."""
    to_grey = torch.where(operation == SATURATION, 1 - factor, 0)
    to_mean = torch.where(operation == CONTRAST, 1 - factor, 0)
    weights = torch.stack([factor, to_grey, to_mean])[..., None, None, None]
    factor, to_grey, to_mean = to_device(images.device, weights)
    grey = luma(images)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    images.mul_(factor).add_(grey.mul_(to_grey).add_(mean * to_mean)).clamp_(0, 1)


def shift_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of ``images`` (B, 3, H, W) by ``shift`` (B,) turns; value and saturation stay.

    The round trip through HSV in one pass, for shifts of up to one turn. Branches are float arithmetic:
    on a CPU, boolean masks and ``torch.where`` are more than ten times slower than additions.
    """
    red, green, blue = images.unbind(dim=1)
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low
    red_leads = (red - high).sign_().add_(1)  # 1 where red is the largest, else 0
    green_leads = (green - high).sign_().add_(1)
    hue = torch.lerp((red - green).add_(chroma, alpha=4), (blue - red).add_(chroma, alpha=2), green_leads)
    hue = torch.lerp(hue, green - blue, red_leads).div_((6 * chroma).clamp_(min=1e-12))  # in turns, from -1/6
    sixths = hue.add_(to_device(images.device, shift + 2)[:, None, None]).frac_().mul_(6)
    shares = [(sixths - at).abs_().sub_(1).clamp_(0, 1) for at in (3, 2, 4)]
    return torch.stack(
        [
            torch.addcmul(low, chroma, shares[0]),
            torch.addcmul(high, chroma, shares[1], value=-1),
            torch.addcmul(high, chroma, shares[2], value=-1),
        ],
        dim=1,
    )
