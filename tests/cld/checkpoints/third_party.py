"""Checkpoints as others write them, of a narrow torchvision ResNet-10, and what their networks give."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, ResNet

WIDTH, D, DIM = 8, 64, 32


def randomised(network: nn.Module, seed: int) -> nn.Module:
    """``network`` in evaluation mode, with weights and statistics that no layer passes through unchanged."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
    return network.eval()


def resnet10(seed: int = 0, small_stem: bool = False) -> ResNet:
    network = ResNet(BasicBlock, [1, 1, 1, 1])
    stem = {"kernel_size": 3, "padding": 1} if small_stem else {"kernel_size": 7, "stride": 2, "padding": 3}
    network.conv1, network.bn1 = nn.Conv2d(3, WIDTH, bias=False, **stem), nn.BatchNorm2d(WIDTH)
    if small_stem:
        network.maxpool = nn.Identity()
    network.inplanes = WIDTH
    for stage in range(4):
        layer = network._make_layer(BasicBlock, WIDTH * 2**stage, 1, stride=2 if stage else 1)
        setattr(network, f"layer{stage + 1}", layer)
    network.fc = nn.Identity()
    return randomised(network, seed)


def linear(seed: int = 10, dim: int = DIM) -> nn.Linear:
    return randomised(nn.Linear(D, dim), seed)


def mlp(seed: int = 20) -> nn.Sequential:
    return randomised(nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, DIM)), seed)


class Cosines(nn.Module):
    """The authors' NormedLinear: weight in x out, no bias."""

    def __init__(self, seed: int = 30):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(D, DIM, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) @ F.normalize(self.weight, dim=0)


def named(prefix: str, module: nn.Module, rename: dict[str, str] | None = None) -> dict[str, Tensor]:
    """A module's state dict under a prefix, with parts of the names replaced."""
    state = {}
    for name, tensor in module.state_dict().items():
        for part, other in (rename or {}).items():
            name = name.replace(part, other)
        state[prefix + name] = tensor.clone()
    return state
