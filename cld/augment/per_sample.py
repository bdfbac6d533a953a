"""Operations on some of a batch's images, each with its own parameters.

Parameters are drawn on the CPU, so that a generator's state gives the same views on every device.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def to_device(device: torch.device, parameters: Tensor) -> Tensor:
    """``parameters`` on ``device``, without blocking: a GPU is still busy with the last step's work."""
    return parameters.to(device, non_blocking=True)


def apply_where_(
    images: Tensor, chosen: Tensor, operation: Callable[..., Tensor], *parameters: Tensor
) -> None:
    """Replace the ``chosen`` images (bool (B,), on the CPU) by ``operation`` of them and their parameters."""
    if chosen.any():
        index = to_device(images.device, chosen.nonzero()[:, 0])
        images[index] = operation(images[index], *(values[chosen] for values in parameters))
