"""Backbones: ResNets (He et al. 2016) as in torchvision, and any other network of torchvision by name.

The ResNets have the layers, names and initial values of torchvision's; unlike there, the width and the stem
can change, for small images and small budgets. Weights move between the two (without ``fc``).
"""

import difflib
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, Bottleneck

from cld.runtime.errors import InputError


def _conv(in_channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=False)


#: Block and number of blocks in each stage, by name.
RESNETS = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}
#: Kernel size and stride of the first convolution, and the pooling behind it.
STEMS = {
    "imagenet": (7, 2, lambda: nn.MaxPool2d(3, stride=2, padding=1)),
    "small": (3, 1, nn.Identity),
    "small_stride2": (3, 2, nn.Identity),
}


#: Networks of torchvision that have more than one output in training.
WITH_SIDE_OUTPUTS = ("googlenet", "inception_v3")
#: Sides of images, in pixels, of which one that a network takes is named.
SIDES = (32, 48, 64, 75, 96, 128, 160, 192, 224, 256, 299, 384, 518)


class ResNet(nn.Module):
    """A residual network without classifier.

    Attributes:
        out_features: D, the number of pooled features.
    """

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], blocks: Sequence[int], width: int, stem: str
    ):
        super().__init__()
        size, stride, pool = STEMS[stem]
        self.conv1 = _conv(3, width, size, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = pool()
        channels = width
        for stage in range(4):
            stage_width = width * 2**stage
            layers = []
            for i in range(blocks[stage]):
                layers.append(_build_block(block, channels, stage_width, stride=2 if stage and i == 0 else 1))
                channels = stage_width * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.out_features = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Pooled features (B, D) of ``images`` (B, 3, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))


def _build_block(block: type[nn.Module], in_channels: int, width: int, stride: int) -> nn.Module:
    out_channels = width * block.expansion
    downsample = None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(_conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))
    return block(in_channels, width, stride, downsample)


def without_classifier(name: str) -> nn.Module:
    """A classification network of torchvision whose last linear layer is taken out; other names stay.

    Returns:
        A module from (B, 3, H, W) to (B, ``out_features``). Some take images of 224 x 224 only.

    Raises:
        InputError: torchvision has no such network, or it has no linear layer.
    """
    known = models.list_models(module=models)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or list(RESNETS)
        raise InputError(f"backbone.name '{name}' is unknown; did you mean {' or '.join(near)}?")
    # without the outputs beside the last one, which some give in training
    network = models.get_model(
        name,
        weights=None,
        **({"aux_logits": False, "init_weights": True} if name in WITH_SIDE_OUTPUTS else {}),
    )
    layers = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise InputError(f"backbone.name '{name}' has no linear classifier to take out; choose another")
    parent, _, child = layers[-1].rpartition(".")
    network.out_features = network.get_submodule(layers[-1]).in_features
    setattr(network.get_submodule(parent), child, nn.Identity())
    return network


def require_side(settings: dict, side: int) -> None:
    """Refuse a backbone that cannot take in images of ``side`` x ``side`` pixels; nothing is computed.

    Raises:
        InputError: names a side that it takes; or see :func:`build_backbone`.
    """
    with torch.device("meta"):
        network = build_backbone(settings).eval()
    if reason := _refusal(network, side):
        fits = next((other for other in SIDES if other > side and not _refusal(network, other)), None)
        raise InputError(
            f"image_size {side}: backbone.name '{settings['name']}' takes no images of {side} x {side} "
            f"pixels ({reason}); "
            + (f"set image_size={fits}, or " if fits else "")
            + "choose another backbone"
        )


def _refusal(network: nn.Module, side: int) -> str | None:
    """Why a network on the device ``meta`` cannot take in images of a side; None where it can."""
    try:
        network(torch.zeros(2, 3, side, side, device="meta"))
    except (RuntimeError, AssertionError, ValueError) as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".!")
    return None


def build_backbone(settings: dict) -> nn.Module:
    """The backbone that ``settings`` describe (the ``backbone`` section of a run's configuration).

    Args:
        settings: ``name``: resnet18, resnet34, resnet50, or another classification network of torchvision,
            which is taken as it is; of the ResNets ``blocks``, four numbers of blocks or None for the name's
            own; ``width``, the channels of the first stage (64 in the paper); ``stem``: ``imagenet`` (7x7
            stride 2, max-pool), ``small`` (3x3 stride 1) or ``small_stride2`` (3x3 stride 2).

    Returns:
        A module from (B, 3, H, W) to (B, ``out_features``).

    Raises:
        InputError: torchvision has no such network, or it has no linear layer.
    """
    name = settings["name"]
    if name not in RESNETS:
        return without_classifier(name)
    block, blocks = RESNETS[name]
    return ResNet(block, settings["blocks"] or blocks, settings["width"], settings["stem"])
