"""Jigsaw views (Noroozi and Favaro 2016, as PIRL and InfoMin use them): an image as nine shuffled patches."""

import torch
from torch import Generator, Tensor

GRID = 3  # cells along each side
PATCH_SHARE = 64 / 85  # of a cell's side: PIRL cuts 64 of 85 pixels, from an image of 255


def patch_size(image_size: int) -> int:
    """Side of the patches that suits images of ``image_size``."""
    return max(1, round(image_size // GRID * PATCH_SHARE))


@torch.compiler.disable  # compiled code draws other numbers
def jigsaw_patches(images: Tensor, patch: int, generator: Generator) -> Tensor:
    """Cut one patch from a random place of each cell of a 3 x 3 grid, and shuffle each image's nine.

    Patches of neighbouring cells do not continue each other: their edges give nothing away.

    Args:
        images: (B, 3, S, S).
        patch: side of the patches, at most S // 3.
        generator: of the CPU.

    Returns:
        (B · 9, 3, patch, patch): nine of the first image, then nine of the second, …
    """
    n, cell = len(images), images.shape[-1] // GRID
    order = torch.rand(n, GRID**2, generator=generator).argsort(dim=1)  # B, 9: the cell of each patch
    corner = torch.stack([order // GRID, order % GRID]) * cell  # 2, B, 9
    corner += torch.randint(cell - patch + 1, corner.shape, generator=generator)
    top, left = corner.to(images.device, non_blocking=True)
    image = torch.arange(n, device=images.device)[:, None]
    windows = images.unfold(2, patch, 1).unfold(3, patch, 1)  # B, 3, S - p + 1, S - p + 1, p, p: a view
    return windows[image, :, top, left].flatten(0, 1)
