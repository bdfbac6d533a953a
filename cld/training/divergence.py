"""Stops a training that has diverged to NaN or infinity, or whose features have collapsed to a point."""

from collections.abc import Mapping

from torch import Tensor, nn

from cld.runtime.errors import InputError

#: Feature spread, averaged over an epoch, below which features no longer tell images apart.
COLLAPSED = 0.01


def require_finite(method: nn.Module, sums: Mapping[str, Tensor], step: int, lr: float) -> None:
    """Look for NaN and infinity in the sums of an epoch's terms, in the weights and in the memories.

    Args:
        step, lr: steps done and the run's ``optimiser.lr``, for the message.

    Raises:
        InputError: training has diverged; names the terms, or up to three tensors of the method.
    """
    bad = [name for name, total in sums.items() if not total.isfinite()]
    if not bad:
        bad = [name for name, value in method.state_dict().items() if not value.isfinite().all()][:3]
    if bad:
        raise InputError(
            f"training diverged by step {step}: {', '.join(bad)} not finite; lower optimiser.lr ({lr:g}) or "
            "lengthen the warm-up"
        )


def require_spread(means: Mapping[str, float], step: int, lr: float) -> None:
    """Look for a collapse in the means of an epoch's logged scalars.

    Raises:
        InputError: the features have collapsed to a point.
    """
    spread = means.get("feature_spread", 1.0)
    if spread < COLLAPSED:
        raise InputError(
            f"features have collapsed by step {step}: feature_spread is {spread:.4f} (1 = even, 0 = all "
            f"alike); lower optimiser.lr ({lr:g}), lengthen the warm-up, or with BYOL raise byol.momentum; "
            "partial.pt has the last state that was saved"
        )
