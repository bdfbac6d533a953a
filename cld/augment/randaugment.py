"""RandAugment (Cubuk et al., NeurIPS 2020) of whole batches, on the images' device.

Operations, their strengths and their pixels are those of torchvision's ``transforms.v2.RandAugment``: 31
magnitudes, nearest interpolation, black where the image has moved away. Each sample's operations are drawn on
the CPU, so that a generator's state gives the same views on every device; samples that drew the same one are
then changed together. Call it outside autocast.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from cld.augment.colour import luma
from cld.augment.per_sample import to_device

MAX_MAGNITUDE = 30  # where every operation is at its strongest:
SHEAR = 0.3  # pixels for each row or column
TRANSLATION = 150 / 331  # of the image's side
ROTATION = math.radians(30)
ENHANCEMENT = 0.9  # brightness, colour, contrast and sharpness are multiplied by 1 ± this
POSTERIZATION = 4  # of 8 bits
LARGE = 2**15  # values of an image: larger ones a CPU changes one at a time, while its cache holds them


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
    return apply_operations(images, draw_operations(len(images), n_ops, generator), magnitude)


def draw_operations(n: int, n_ops: int, generator: Generator) -> Tensor:
    """Operations of ``n`` images, int64 (n, n_ops), as :func:`apply_operations` takes them."""
    operation = torch.randint(len(OPERATIONS), (n_ops, n), generator=generator)
    forward = torch.randint(2, (n_ops, n), generator=generator)
    return (2 * operation + forward).T


def apply_operations(images: Tensor, drawn: Tensor, magnitude: int) -> Tensor:
    """Change each image by its operations, one after the other.

    Args:
        images: float32 (B, 3, S, S) in [0, 1].
        drawn: int64 (B, n_ops) on the CPU: twice the place in OPERATIONS, and 1 more for the direction in
            which the level is positive.
        magnitude: 0 to MAX_MAGNITUDE.

    Returns:
        float32 (B, 3, S, S) in [0, 1]; ``images`` stay as they were.
    """
    level = magnitude / MAX_MAGNITUDE
    changes = [partial(change, level=each) for change in OPERATIONS.values() for each in (-level, level)]
    if images.device.type == "cpu" and images.shape[1:].numel() > LARGE:
        views = torch.empty_like(images)
        for view, image, own in zip(views.split(1), images.split(1), drawn.tolist(), strict=True):
            changed = image.clone()
            for i in own:
                changed = changes[i](changed)
            view.copy_(changed)
        return views
    place = torch.arange(len(images))  # of each image in the batch
    for column in drawn.T:
        # in the order of their operations, so that images with the same one lie together
        operation, order = column[place].sort()
        place = place[order]
        operation, counts = operation.unique_consecutive(return_counts=True)
        groups = images.index_select(0, to_device(images.device, order)).split(counts.tolist())
        images = torch.cat([changes[i](group) for i, group in zip(operation.tolist(), groups, strict=True)])
    return images.index_select(0, to_device(images.device, place.argsort()))


# Every operation: images float32 (B, 3, S, S) in [0, 1], which it may change, and level, the share of the
# strongest magnitude, negative for the other direction, to the images changed.


def identity(images: Tensor, level: float) -> Tensor:
    return images


def shear_x(images: Tensor, level: float) -> Tensor:
    slope = SHEAR * level  # about the top left corner
    return _warp(images, (1, slope, slope * images.shape[-1] / 2), (0, 1, 0))


def shear_y(images: Tensor, level: float) -> Tensor:
    slope = SHEAR * level
    return _warp(images, (1, 0, 0), (slope, 1, slope * images.shape[-1] / 2))


def rotate(images: Tensor, level: float) -> Tensor:
    cosine, sine = math.cos(ROTATION * level), math.sin(ROTATION * level)
    return _warp(images, (cosine, -sine, 0), (sine, cosine, 0))


def _warp(images: Tensor, *rows: tuple[float, float, float]) -> Tensor:
    """Take each pixel from where its place (x, y, 1), in pixels from the image's centre, is mapped to."""
    half = images.shape[-1] / 2
    # grid_sample's -1 and 1 are the image's edges, half its side from the centre.
    matrix = to_device(images.device, torch.tensor(rows) / half)[..., None, None]  # 2, 3, 1, 1
    at = torch.arange(0.5 - half, half, device=images.device)
    source = (matrix[:, 0] * at + matrix[:, 2]) + matrix[:, 1] * at[:, None]  # 2, S, S
    grid = source.permute(1, 2, 0).expand(len(images), -1, -1, -1)
    return F.grid_sample(images, grid, mode="nearest", align_corners=False)


def translate_x(images: Tensor, level: float) -> Tensor:
    shift = _whole_pixels(images, level)
    return F.pad(images, (shift, -shift, 0, 0))


def translate_y(images: Tensor, level: float) -> Tensor:
    shift = _whole_pixels(images, level)
    return F.pad(images, (0, 0, shift, -shift))


def _whole_pixels(images: Tensor, level: float) -> int:
    return int(TRANSLATION * images.shape[-1] * level)


def brightness(images: Tensor, level: float) -> Tensor:
    return images.mul_(1 + ENHANCEMENT * level).clamp_(0, 1)


def colour(images: Tensor, level: float) -> Tensor:
    return _enhance(images, luma(images), level)


def contrast(images: Tensor, level: float) -> Tensor:
    return _enhance(images, luma(images).mean(dim=(2, 3), keepdim=True), level)


def _enhance(images: Tensor, dull: Tensor, level: float) -> Tensor:
    """``images`` as far from ``dull`` ones as 1 + ENHANCEMENT · level says."""
    # not lerp_, which on a CPU is ten times slower where ``dull`` is one value an image
    return images.mul_(1 + ENHANCEMENT * level).add_(dull, alpha=-ENHANCEMENT * level).clamp_(0, 1)


def sharpness(images: Tensor, level: float) -> Tensor:
    rows = (images[:, :, :-2] + images[:, :, 1:-1]).add_(images[:, :, 2:])
    box = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:])  # sums of 3 x 3 pixels
    # Dull is (4 · pixel + box) / 13. The edges stay.
    away = -ENHANCEMENT * level
    images[:, :, 1:-1, 1:-1].mul_(1 - away * (9 / 13)).add_(box, alpha=away / 13)
    return images.clamp_(0, 1)


def posterize(images: Tensor, level: float) -> Tensor:
    step = 2 ** round(POSTERIZATION * abs(level)) / 255  # between the levels that stay
    return images.add_(0.5 / 255).div_(step).floor_().mul_(step)


def solarize(images: Tensor, level: float) -> Tensor:
    """Invert from a threshold on, which is one of the 256 levels."""
    lowest = math.ceil((1 - abs(level)) * 255 - 1e-3)  # a threshold that is a level itself turns it
    side = (images - (lowest - 0.5) / 255).sign_()  # 1 where it is reached, else -1
    return side.mul_(0.5 - images).add_(0.5)  # on a CPU much faster than a choice by masks


def autocontrast(images: Tensor, level: float) -> Tensor:
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    has_range = high > low
    return images.sub_(low.where(has_range, 0)).div_((high - low).where(has_range, 1))


def equalize(images: Tensor, level: float) -> Tensor:
    """Spread the 256 levels of each channel so that each is as frequent, as PIL's integers do."""
    levels = images.mul_(255).round_().flatten(2)  # B, 3, pixels
    brightest = levels.amax(dim=2, keepdim=True).long()
    levels = levels.long()
    counts = images.new_zeros(*levels.shape[:2], 256)  # of floats, which a CPU adds faster
    counts = counts.scatter_add_(2, levels, counts.new_ones(1).expand_as(levels)).long()
    step = (levels.shape[2] - counts.gather(2, brightest)) // 255  # pixels for each new level
    darker = counts.cumsum(dim=2) - counts  # pixels below each level
    table = ((darker + step // 2) // step.clamp(min=1)).clamp_(max=255)
    table = table.where(step > 0, torch.arange(256, device=images.device))  # too few pixels: as they were
    return (table / 255).gather(2, levels).view_as(images)


#: Operations by name, in torchvision's order; any may be drawn.
OPERATIONS: dict[str, Callable[..., Tensor]] = {
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
