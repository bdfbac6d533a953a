"""RandomErasing (Zhong et al. 2020) of a batch's views: a rectangle of each is filled, as in torchvision."""

import math

import torch
from torch import Generator, Tensor

from cld.augment.per_sample import to_device

SCALE = (0.02, 0.33)  # least and most share of the view's area
RATIO = (0.3, 3.3)  # least and most height / width
ATTEMPTS = 10  # to draw a rectangle that is smaller than the view on both sides


def sample_rectangles(n: int, size: int, generator: Generator) -> Tensor:
    """Draw ``n`` rectangles in views of ``size`` x ``size`` as torchvision's RandomErasing does.

    Area share uniform in SCALE, height / width log-uniform in RATIO, position uniform. The first of ten
    attempts that is smaller than the view on both sides counts; if none is, the rectangle is empty.

    Returns:
        int64 (n, 4) on the CPU: top, left, height, width.
    """
    shape = (n, ATTEMPTS)
    area = torch.empty(shape).uniform_(*SCALE, generator=generator) * size**2
    ratio = torch.empty(shape).uniform_(*map(math.log, RATIO), generator=generator).exp_()
    sides = torch.stack([(area * ratio).sqrt_(), (area / ratio).sqrt_()], dim=2).round_()  # n, attempts, 2
    fits = (sides < size).all(dim=2)
    first = fits.to(torch.uint8).argmax(dim=1)
    sides = sides[torch.arange(n), first].double() * fits.any(dim=1, keepdim=True)
    position = torch.rand(n, 2, generator=generator, dtype=torch.float64)  # float32 could round up to 1
    return torch.cat([(position * (size - sides + 1)).floor_(), sides], dim=1).long()


def erase_(images: Tensor, rectangles: Tensor) -> Tensor:
    """Set a rectangle of each of ``images`` (B, 3, S, S) to 0, in place.

    Args:
        rectangles: int64 (B, 4) on the CPU: top, left, height, width. An empty one changes nothing.
    """
    start, sides = to_device(images.device, rectangles).view(-1, 2, 2, 1).unbind(dim=1)  # B, 2, 1
    pixel = torch.arange(images.shape[-1], device=images.device)
    rows, columns = ((pixel >= start) & (pixel < start + sides)).unbind(dim=1)  # B, S
    return images.masked_fill_((rows[:, :, None] & columns[:, None, :])[:, None], 0)
