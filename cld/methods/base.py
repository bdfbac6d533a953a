"""What the training loop asks of a method, and what a method gives back."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

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


class Method(nn.Module):
    """A method: its ``state_dict`` is all that its next step depends on.

    Attributes:
        encoder: what training is for; evaluation keeps nothing else.
    """

    encoder: Encoder

    def forward(self, views: Sequence[Tensor], index: Tensor, keys: Tensor | None = None) -> StepOutput:
        """Loss of one part of a batch: the whole batch, or the share of one of several virtual GPUs.

        Args:
            views: V augmented views (B, 3, S, S) of the same images.
            index: (B,) int64, which training images they are.
            keys: this part's rows of what :meth:`encode_keys` gave; left out where it gave None.
        """
        raise NotImplementedError

    def encode_keys(self, views: Sequence[Tensor]) -> Tensor | None:
        """Keys of the batch, encoded before any part's loss; None for a method without keys.

        Args:
            views: the last view (b, 3, S, S) of each part that this process has.

        Returns:
            (B, d), the parts' rows one after another, without gradient.
        """
        return None

    def after_step(self, step: StepOutput, progress: float) -> None:
        """Update memories and momentum encoders, after the optimiser's step.

        Not earlier: the backward pass still needs them as they were in the forward pass.

        Args:
            step: what the method made of a part of the batch, but ``carry`` is that of all parts.
            progress: share of the run's steps that were done before this one, 0..1.
        """
