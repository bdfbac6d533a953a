"""The exponential moving average (EMA) by which MoCo's key encoder and BYOL's target follow a network."""

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def ema_update_(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
    """Move ``slow`` towards ``fast``: θ = m · θ + (1 - m) · θ_fast.

    Parameters only: a momentum network's batch statistics are its own.
    """
    get_ema_multi_avg_fn(momentum)(list(slow.parameters()), list(fast.parameters()), None)
