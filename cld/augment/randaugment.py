"""RandAugment (Cubuk et al., NeurIPS 2020) of whole batches, on the images' device.

Operations, their strengths and their pixels are those of torchvision's ``transforms.v2.RandAugment``: 31
magnitudes, nearest interpolation, black where the image has moved away. Each sample's operations are drawn on
the CPU, so that a generator's state gives the same views on every device; samples that drew the same one are
then changed together. Call it outside autocast.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from cld.augment.colour import luma
from cld.augment.per_sample import apply_where_, to_device

MAX_MAGNITUDE = 30  # where every operation is at its strongest:
SHEAR = 0.3  # pixels for each row or column
TRANSLATION = 150 / 331  # of the image's side
ROTATION = math.radians(30)
ENHANCEMENT = 0.9  # brightness, colour, contrast and sharpness are multiplied by 1 ± this
POSTERIZATION = 4  # of 8 bits


def rand_augment(images: Tensor, n_ops: int, magnitude: int, generator: Generator) -> Tensor:
    """Change each image by ``n_ops`` operations, each drawn from all of OPERATIONS, one after the other.

    Operations that have two directions go either way with equal probability.

    Args:
        images: float32 (B, 3, S, S) in [0, 1].
        n_ops: 0 or more.
        magnitude: 0 to MAX_MAGNITUDE. Identity, autocontrast and equalize do not depend on it.
        generator: of the CPU.

    Returns:
        float32 (B, 3, S, S) in [0, 1]; ``images`` stay as they were.
    """
    return apply_drawn_(images.clone(), *draw_operations(len(images), n_ops, magnitude, generator))


def draw_operations(n: int, n_ops: int, magnitude: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Operations int64 and levels float64 of ``n`` images, each (n, n_ops), see :func:`apply_operations_`."""
    drawn = torch.randint(len(OPERATIONS), (n_ops, n), generator=generator)
    signs = torch.randint(2, (n_ops, n), generator=generator).double() * 2 - 1
    return drawn.T, signs.T * (magnitude / MAX_MAGNITUDE)


def apply_drawn_(images: Tensor, operations: Tensor, levels: Tensor) -> Tensor:
    """Change each image by what :func:`draw_operations` gave for it, one after the other, in place."""
    for operation, level in zip(operations.T, levels.T, strict=True):
        apply_operations_(images, operation, level)
    return images


def apply_operations_(images: Tensor, operation: Tensor, level: Tensor) -> Tensor:
    """Change each image by one operation, in place.

    Args:
        images: float32 (B, 3, S, S) in [0, 1].
        operation: int64 (B,) on the CPU, places in OPERATIONS.
        level: float64 (B,) on the CPU, share of the strongest magnitude, negative for the other direction.

    Returns:
        ``images``.
    """
    for place, change in enumerate(OPERATIONS.values()):
        if change is not identity:
            apply_where_(images, operation == place, change, level)
    return images


# Every operation: images float32 (B, 3, S, S) in [0, 1], which it may change, and level float64 (B,) on the
# CPU, to the images changed.


def identity(images: Tensor, level: Tensor) -> Tensor:
    return images


def shear_x(images: Tensor, level: Tensor) -> Tensor:
    slope = SHEAR * level  # about the top left corner
    return _warp(images, (1, slope, slope * images.shape[-1] / 2), (0, 1, 0))


def shear_y(images: Tensor, level: Tensor) -> Tensor:
    slope = SHEAR * level
    return _warp(images, (1, 0, 0), (slope, 1, slope * images.shape[-1] / 2))


def translate_x(images: Tensor, level: Tensor) -> Tensor:
    return _warp(images, (1, 0, -_whole_pixels(images, level)), (0, 1, 0))


def translate_y(images: Tensor, level: Tensor) -> Tensor:
    return _warp(images, (1, 0, 0), (0, 1, -_whole_pixels(images, level)))


def _whole_pixels(images: Tensor, level: Tensor) -> Tensor:
    return (TRANSLATION * images.shape[-1] * level).trunc()


def rotate(images: Tensor, level: Tensor) -> Tensor:
    angle = ROTATION * level
    return _warp(images, (angle.cos(), -angle.sin(), 0), (angle.sin(), angle.cos(), 0))


def _warp(images: Tensor, *rows: tuple[float | Tensor, float | Tensor, float | Tensor]) -> Tensor:
    """Take each pixel from where its place (x, y, 1), in pixels from the image's centre, is mapped to."""
    n, size = len(images), images.shape[-1]
    matrix = torch.stack([torch.as_tensor(entry).expand(n) for row in rows for entry in row])  # 6, B
    # grid_sample's -1 and 1 are the image's edges, half its side from the centre.
    matrix = _to(images, matrix / (size / 2)).view(2, 3, n, 1, 1)
    x = torch.arange(size, device=images.device) - (size - 1) / 2
    source = matrix[:, 0] * x + matrix[:, 1] * x[:, None] + matrix[:, 2]  # 2, B, S, S
    return F.grid_sample(images, source.permute(1, 2, 3, 0), mode="nearest", align_corners=False)


def brightness(images: Tensor, level: Tensor) -> Tensor:
    return _enhance(images, torch.zeros_like(images[:, :1, :1, :1]), level)


def colour(images: Tensor, level: Tensor) -> Tensor:
    return _enhance(images, luma(images), level)


def contrast(images: Tensor, level: Tensor) -> Tensor:
    return _enhance(images, luma(images).mean(dim=(2, 3), keepdim=True), level)


def sharpness(images: Tensor, level: Tensor) -> Tensor:
    rows = (images[:, :, :-2] + images[:, :, 1:-1]).add_(images[:, :, 2:])
    box = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:])  # sums of 3 x 3 pixels
    # Dull is (4 · pixel + box) / 13. The edges stay.
    away = _each(images, -ENHANCEMENT * level)
    images[:, :, 1:-1, 1:-1].mul_(1 - away * (9 / 13)).add_(box.mul_(away / 13))
    return images.clamp_(0, 1)


def _enhance(images: Tensor, dull: Tensor, level: Tensor) -> Tensor:
    """``images`` as far from ``dull`` ones as 1 + ENHANCEMENT · level says."""
    return images.lerp_(dull, _each(images, -ENHANCEMENT * level)).clamp_(0, 1)


def posterize(images: Tensor, level: Tensor) -> Tensor:
    step = 2 ** (POSTERIZATION * level.abs()).round()  # of the levels that stay
    step = _each(images, step)
    return _levels(images).div_(step).floor_().mul_(step).div_(255)


def solarize(images: Tensor, level: Tensor) -> Tensor:
    """Invert from each image's own threshold on, which is one of the 256 levels."""
    threshold = (1 - level.abs()) * 255 - 1e-3  # a threshold that is a level itself turns it, however rounded
    side = _levels(images).sub_(_each(images, threshold)).sign_()  # 1 where it is reached, else -1
    return side.mul_(images.neg_().add_(0.5)).add_(0.5)  # on a CPU much faster than a choice by masks


def autocontrast(images: Tensor, level: Tensor) -> Tensor:
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    has_range = high > low
    return images.sub_(low.where(has_range, 0)).div_((high - low).where(has_range, 1))


def equalize(images: Tensor, level: Tensor) -> Tensor:
    """Spread the 256 levels of each channel so that each is as frequent, as PIL's integers do."""
    levels = _levels(images).flatten(2).long()  # B, 3, pixels
    counts = images.new_zeros(*levels.shape[:2], 256)  # of floats, which a CPU adds faster
    counts = counts.scatter_add_(2, levels, counts.new_ones(1).expand_as(levels)).long()
    of_brightest = counts.gather(2, levels.amax(dim=2, keepdim=True))
    step = (levels.shape[2] - of_brightest) // 255  # pixels for each new level
    darker = counts.cumsum(dim=2) - counts  # pixels below each level
    table = ((darker + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = table.where(step > 0, torch.arange(256, device=images.device))  # too few pixels: as they were
    return (table / 255).gather(2, levels).view_as(images)


def _levels(images: Tensor) -> Tensor:
    """The whole numbers 0 to 255, as floats, that an image file would hold."""
    return (images * 255).round_()


def _each(images: Tensor, values: Tensor) -> Tensor:
    """One of ``values`` (B,) for each of ``images``, shaped to be broadcast."""
    return _to(images, values)[:, None, None, None]


def _to(images: Tensor, values: Tensor) -> Tensor:
    return to_device(images.device, values.to(images.dtype))


#: Operations by name, in torchvision's order; any may be drawn.
OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    change.__name__: change
    for change in (
        identity,
        shear_x,
        shear_y,
        translate_x,
        translate_y,
        rotate,
        brightness,
        colour,
        contrast,
        sharpness,
        posterize,
        solarize,
        autocontrast,
        equalize,
    )
}
