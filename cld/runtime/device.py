"""The device that computes."""

import torch

from cld.runtime.errors import InputError


def fastest_device() -> str:
    """``cuda`` if PyTorch can use a GPU, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_device(name: str | None) -> torch.device:
    """The device called ``name``, or the fastest one where it is None.

    Raises:
        InputError: PyTorch knows no such device here.
    """
    try:
        device = torch.device(name or fastest_device())
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # builds without CUDA assert
        reason = str(error).splitlines()[0]
        raise InputError(f"device '{name}' cannot be used ({reason}); use cpu or leave it out") from None
    return device
