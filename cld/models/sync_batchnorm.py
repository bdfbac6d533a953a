"""Batch normalisation over the images of all processes, on GPUs and on CPUs."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from cld.runtime.distributed import world_size


class _AllReduceSum(torch.autograd.Function):
    """The sum of a tensor over the processes. The gradient is summed likewise."""

    @staticmethod
    def forward(_: object, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return _AllReduceSum.forward(None, gradient)


class CPUSyncBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the images of all processes, on CPUs; of inputs with any number of dimensions.

    PyTorch's own takes GPU tensors only. ``sync_bn`` (BYOL), the semi-supervised evaluation and detection
    need one, so without this class none of them could run, or be tested, in several processes on CPUs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (B, C, ...) by its channels' statistics over every process's batch."""
        if not self.training:
            statistics = self.running_mean, self.running_var
            return F.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        n = torch.tensor(x.numel() // x.shape[1])
        dist.all_reduce(n)  # slices, and regions cut out of images, need not be of one size
        mean = _AllReduceSum.apply(x.sum(axes)) / n
        centred = x - mean.view(shape)
        var = _AllReduceSum.apply(centred.square().sum(axes)) / n
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * n / (n - 1), self.momentum)
        scaled = centred * (var + self.eps).rsqrt().view(shape)
        return scaled * self.weight.view(shape) + self.bias.view(shape)


def convert_sync_batchnorm(network: nn.Module, device: torch.device) -> nn.Module:
    """``network`` with its batch normalisation over all processes; parameters keep names and values."""
    if world_size() == 1:
        return network
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            synced = CPUSyncBatchNorm(module.num_features, module.eps, module.momentum)
            synced.load_state_dict(module.state_dict())
            for ours, theirs in zip(synced.parameters(), module.parameters(), strict=True):
                ours.requires_grad_(theirs.requires_grad)
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, synced)
    return network
