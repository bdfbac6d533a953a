"""Operations on the colours of a batch's images: grey, jitter, hue and solarisation, as in torchvision."""

import torch
from torch import Tensor

from cld.augment.per_sample import to_device

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # columns of the jitter's factors
NEUTRAL = (1.0, 1.0, 1.0, 0.0)  # factors that change nothing
LUMA = (0.2989, 0.587, 0.114)  # weights of red, green and blue in grey, as torchvision has them


def luma(images: Tensor) -> Tensor:
    """Grey (B, 1, H, W) of ``images`` (B, 3, H, W)."""
    red, green, blue = images.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def solarize(images: Tensor) -> Tensor:
    """Invert what is at least half bright."""
    return torch.minimum(images, 1 - images)


def colour_jitter_(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue, as torchvision's ``adjust_*`` do, in place.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        factors: (B, 4) on the CPU: brightness, contrast and saturation factors, hue shift in turns.
        order: int64 (B, 4) on the CPU: each sample's permutation of the four columns of ``factors``.

    Returns:
        ``images``.
    """
    hue_at = (order == HUE).to(torch.uint8).argmax(dim=1, keepdim=True)
    # All hues are shifted at once. Of the three places before that and the three after it each image's other
    # operations take the nearest ones.
    step = hue_at + torch.arange(-3, 4)  # B, 7
    operation = order.gather(1, step.clamp(0, 3))
    factor = factors.gather(1, operation).where((step >= 0) & (step < 4), 1)
    away = 1 - factor
    away[:, 3] = factors[:, HUE]
    weights = torch.stack([away, operation == SATURATION, operation == CONTRAST]).permute(2, 0, 1)
    changes = (away != 0).any(dim=0).tolist()
    for place, weight in enumerate(to_device(images.device, weights)):  # 3, B
        if place == 3 and changes[place]:
            shift_hue_(images, weight[0])
        elif changes[place]:
            _blend_(images, *weight[..., None, None, None])
    return images


def _blend_(images: Tensor, away: Tensor, to_grey: Tensor, to_mean: Tensor) -> None:
    """Move each image to its grey image, its mean grey or black: saturation, contrast or brightness."""
    grey = luma(images)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    images.lerp_(grey.mul_(to_grey).add_(mean.mul_(to_mean)), away).clamp_(0, 1)


def shift_hue_(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of ``images`` (B, 3, H, W) by ``shift`` (B,) turns, in place; value and saturation stay.

    The round trip through HSV in one pass, for shifts of up to one turn. Branches are float arithmetic:
    on a CPU, boolean masks and ``torch.where`` are more than ten times slower than additions.
    """
    red, green, blue = images.unbind(dim=1)
    high, low = images.amax(dim=1), images.amin(dim=1)
    chroma = high - low
    red_leads = (red - high).sign_().add_(1)  # 1 where red is the largest, else 0
    green_leads = (green - high).sign_().add_(1)
    hue = torch.lerp((red - green).add_(chroma, alpha=4), (blue - red).add_(chroma, alpha=2), green_leads)
    hue.lerp_(green - blue, red_leads).div_((6 * chroma).clamp_(min=1e-12))  # in turns, from -1/6
    sixths = hue.add_((shift + 2)[:, None, None]).frac_().mul_(6)
    # How far each channel lies below the highest one, in shares of the chroma.
    channels = torch.tensor([[3.0, 2.0, 4.0], [-1.0, 1.0, 1.0], [2.0, -1.0, -1.0]])
    at, sign, offset = to_device(images.device, channels)[..., None, None]
    below = (sixths[:, None] - at).abs_().mul_(sign).add_(offset).clamp_(0, 1)
    return torch.addcmul(high[:, None], below, chroma[:, None], value=-1, out=images)
