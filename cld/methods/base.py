"""What the training loop asks of a method, and what a method gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from cld.methods.encoder import Encoded, Encoder


@dataclass(frozen=True)
class StepOutput:
    """What a method makes of one batch.

    Attributes:
        loss: scalar, to be minimised.
        group_inputs: the views that carry gradient, for group-level losses such as CLD.
        logs: scalars without gradient; they stay on the device until the epoch ends.
        carry: tensors without gradient that the method's own ``after_step`` needs, (B, ...): a row an image.
    """

    loss: Tensor
    group_inputs: Sequence[Encoded]
    logs: dict[str, Tensor]
    carry: dict[str, Tensor] = field(default_factory=dict)


class Method(Protocol):
    """A method: an ``nn.Module`` whose ``state_dict`` is all that its next step depends on.

    Attributes:
        encoder: what training is for; evaluation keeps nothing else.
        n_key_views: how many of the views (the last ones) carry no gradient: 0, or 1 for a method that has
            ``encode_keys(view, n_parts)``. What that gives for the whole batch (see
            :func:`cld.runtime.distributed.encode_shuffled`) is, part by part, a third argument of the call.
    """

    encoder: Encoder
    n_key_views: int

    def __call__(self, views: Sequence[Tensor], index: Tensor) -> StepOutput:
        """Loss of one part of a batch: all of it, or what one of several GPUs would see.

        Args:
            views: V augmented views (B, 3, S, S) of the same images.
            index: (B,) int64, which training images they are.
        """

    def after_step(self, step: StepOutput, progress: float) -> None:
        """Bring memories and momentum encoders up to date, after the optimiser's step.

        Not earlier: the backward pass still needs them as they were in the forward pass.

        Args:
            step: what the method made of a part of the batch, but ``carry`` is that of all parts.
            progress: share of the run's steps that were done before this one, 0..1.
        """
