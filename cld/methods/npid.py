"""NPID: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR 2018.

The full-softmax form. As in the authors' runs with CLD the loss is the mean over the views, and the bank is
moved by each view in turn.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cld.memory import MemoryBank
from cld.methods.contract import StepOutput
from cld.methods.encoder import Encoder, build_encoder


class NPID(nn.Module):
    """Tell each training image from all others by its similarity to what the bank remembers of them."""

    n_key_views = 0

    def __init__(self, encoder: Encoder, bank: MemoryBank, temperature: float):
        super().__init__()
        self.encoder, self.bank, self.temperature = encoder, bank, temperature

    @classmethod
    def from_config(cls, config: Mapping, n_images: int) -> "NPID":
        """The method of a run's configuration for a training split of ``n_images``."""
        encoder = build_encoder(config, bf16=config["precision"] == "bf16")
        bank = MemoryBank(n_images, config["head"]["dim"], config["bank"]["momentum"])
        return cls(encoder, bank, config["temperature"])

    def forward(self, views: Sequence[Tensor], index: Tensor) -> StepOutput:
        encoded = [self.encoder.encode(view) for view in views]  # V of (B, D), (B, d)
        z = torch.cat([view.embedding for view in encoded])  # V·B, d
        target = index.repeat(len(views))  # V·B
        logits = self.bank.logits(z, self.temperature)  # V·B, N
        loss = F.cross_entropy(logits, target)
        positive = logits.detach().gather(1, target[:, None]).mean() * self.temperature
        return StepOutput(
            loss,
            encoded,
            logs={"instance_loss": loss.detach(), "positive_similarity": positive},
            carry={"z": z.detach(), "index": index},
        )

    def after_step(self, step: StepOutput) -> None:
        index = step.carry["index"]  # B
        for z in step.carry["z"].split(len(index)):  # B, d
            self.bank.update(z, index)  # memory[index] = normalise(m · memory[index] + (1 - m) · z)
