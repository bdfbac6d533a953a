"""Options that make a step faster and leave what it computes as it is, up to the rounding of sums."""

import shutil
from collections.abc import Mapping

import torch
from torch import nn

from cld.methods.encoder import Encoder
from cld.runtime.errors import InputError


def apply_speed_options(method: nn.Module, settings: Mapping, device: torch.device) -> nn.Module:
    """``method`` with the options of a run's section ``speed``; names and values of its state stay.

    Raises:
        InputError: ``compile`` on a CPU without a C++ compiler.
    """
    if settings["channels_last"]:
        # convolutions hand the layout on from their weights to what they compute
        method = method.to(memory_format=torch.channels_last)
    if settings["compile"]:
        if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
            raise InputError("speed.compile: needs a C++ compiler on a CPU; install g++ or set it to false")
        method.compile()  # its forward pass: backbone, heads, clustering and losses
        for module in method.modules():
            if isinstance(module, Encoder):
                module.backbone.compile()  # keys, targets and evaluation have it run by itself
    return method
