"""The device that computes. A GPU that was asked for and cannot be used is an error, never a slow run."""

import os

import torch

from cld.runtime.distributed import local_device
from cld.runtime.errors import InputError

#: The names that leave the choice to the machine: a GPU if PyTorch can use one, else the CPU.
AUTO = (None, "auto")
#: Where Slurm and CUDA say which GPUs a process has, or how many.
GIVEN = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE", "CUDA_VISIBLE_DEVICES")
#: Values that say it has none.
NONE = {"", "-1", "NoDevFiles"}


def resolve_device(name: str | None) -> torch.device:
    """The device called ``name``.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ... or one of :data:`AUTO`. Of several processes on a machine
            each has a GPU of its own, unless a number is given.

    Raises:
        InputError: PyTorch knows no such device here, or see :func:`require_given_gpus`.
    """
    require_given_gpus(name)
    if name in AUTO:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(local_device() or name if name == "cuda" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # builds without CUDA assert
        reason = str(error).splitlines()[0]
        raise InputError(f"device '{name}' cannot be used ({reason}); use cpu or leave it out") from None
    return device


def require_given_gpus(name: str | None, wanted_by: str | None = None) -> None:
    """Refuse to compute on the CPU where a GPU was given or is wanted, unless ``name`` asks for the CPU.

    Args:
        wanted_by: what else wants a GPU, for the message: a setting and its value.

    Raises:
        InputError: names the variable or the setting, and the way to mean the CPU.
    """
    given = (f"{key}={os.environ[key]}" for key in GIVEN if os.environ.get(key, "") not in NONE)
    reason = next(given, wanted_by)
    if name in AUTO and reason and not torch.cuda.is_available():
        raise InputError(
            f"{reason}: PyTorch {torch.__version__} sees no GPU here; install its build for this driver, "
            "or mean the CPU: --device cpu (of the workflow: --config device=cpu)"
        )
