"""What a run's backbone computes in: ``precision`` of its configuration, and what ``auto`` is on a device."""

import re
from pathlib import Path

import torch

from cld.runtime.errors import InputError

#: Flags in /proc/cpuinfo of CPUs with instructions for bf16: AMX, and AVX-512.
BF16_FLAGS = {"amx_bf16", "avx512_bf16"}
#: CUDA's compute capability from which GPUs have units for fp16: Volta's.
FP16_CAPABILITY = (7, 0)


def native_precision(device: torch.device) -> str:
    """The fastest precision that a device computes in natively: ``bf16``, ``fp16`` or ``fp32``.

    bf16 on GPUs from Ampere on and on CPUs with AMX or AVX512-BF16, fp16 on older GPUs with tensor cores.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            if torch.cuda.is_bf16_supported(including_emulation=False):
                return "bf16"
            return "fp16" if torch.cuda.get_device_capability() >= FP16_CAPABILITY else "fp32"
    return "bf16" if device.type == "cpu" and cpu_flags() & BF16_FLAGS else "fp32"


def cpu_flags() -> set[str]:
    """The flags that Linux names of an x86 CPU; none elsewhere."""
    try:
        line = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    except OSError:
        return set()
    return set(line[1].split()) if line else set()


def resolve_precision(asked: str, device: torch.device, begun: str | None = None, where: str = "") -> str:
    """The precision that a run is trained in.

    Args:
        asked: ``precision`` of the run's configuration; anything but ``auto`` is taken at its word.
        begun: what ``auto`` was where the run began; None: it begins here.
        where: the file that it is resumed from, for the message.

    Raises:
        InputError: the run began in a precision that this device does not compute in natively.
    """
    if asked != "auto":
        return asked
    native = native_precision(device)
    own = {native, "fp32"} | ({"fp16"} if device.type == "cuda" else set())
    if begun is not None and begun not in own:
        raise InputError(
            f"{where}: this run began in {begun} (precision auto), which the device here ({device}) does not "
            f"compute in natively; resume it on one that does, or delete it to start afresh in {native}"
        )
    return begun or native
