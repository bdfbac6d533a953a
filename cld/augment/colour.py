"""How bright a colour is."""

from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)  # weights of red, green and blue in grey, as torchvision has them


def luma(images: Tensor) -> Tensor:
    """Grey (B, 1, H, W) of ``images`` (B, 3, H, W)."""
    red, green, blue = images.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
