"""Operations on some of a batch's images, each with its own parameters.

Parameters are drawn on the CPU, so that a generator's state gives the same views on every device.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def to_device(device: torch.device, parameters: Tensor) -> Tensor:
    """``parameters`` on ``device``, without blocking: a GPU is still busy with the last step's work."""
    if device.type == "cuda" and parameters.device.type == "cpu":
        parameters = parameters.pin_memory()  # or the copy would wait for that work
    return parameters.to(device, non_blocking=True)


def blend_where_(images: Tensor, chosen: Tensor, operation: Callable[[Tensor], Tensor]) -> None:
    """As ``apply_where_``, for an operation that costs no more than to pick out the chosen images."""
    if chosen.any():
        weight = to_device(images.device, chosen.to(images.dtype))
        images.lerp_(operation(images), weight[:, None, None, None])


def apply_where_(
    images: Tensor, chosen: Tensor, operation: Callable[..., Tensor], *parameters: Tensor
) -> None:
    """Replace the ``chosen`` images (bool (B,), on the CPU) by ``operation`` of them and their parameters."""
    if chosen.any():
        index = to_device(images.device, chosen.nonzero()[:, 0])
        changed = operation(images.index_select(0, index), *(values[chosen] for values in parameters))
        images.index_copy_(0, index, changed.expand(-1, images.shape[1], -1, -1))
