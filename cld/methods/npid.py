"""NPID: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR 2018.

With a full softmax over the training images, or, where they are too many for one, by noise-contrastive
estimation with K sampled images. As in the authors' runs with CLD the loss is the mean over the views, and
the bank is moved by each view in turn.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cld.losses import estimate_log_z, nce_loss
from cld.memory import MemoryBank
from cld.methods.base import Method, StepOutput
from cld.methods.encoder import Encoder, build_encoder
from cld.runtime.errors import InputError


class NPID(Method):
    """Tell each training image from all others by its similarity to what the bank remembers of them.

    Attributes:
        log_z: buffer, log of NCE's normalisation constant; measured on the first batch and kept.
        has_z: buffer, whether it has been.
    """

    log_z: Tensor
    has_z: Tensor

    def __init__(
        self, encoder: Encoder, bank: MemoryBank, temperature: float, n_negatives: int | None = None
    ):
        super().__init__()
        self.encoder, self.bank, self.temperature = encoder, bank, temperature
        self.n_negatives = n_negatives
        self.register_buffer("log_z", torch.zeros(()))
        self.register_buffer("has_z", torch.zeros((), dtype=torch.bool))

    @classmethod
    def from_config(cls, config: Mapping, n_images: int) -> "NPID":
        """The method of a run's configuration for a training set of ``n_images``.

        Raises:
            InputError: as many sampled negatives as images, or more.
        """
        n_negatives = config["bank"]["negatives"]
        if n_negatives is not None and n_negatives >= n_images:
            raise InputError(
                f"bank.negatives {n_negatives}: there are {n_images} training images; set "
                "bank.negatives=null, for a softmax over all of them, or a smaller number"
            )
        encoder = build_encoder(config, config["precision"])
        bank = MemoryBank(n_images, config["head"]["dim"], config["bank"]["momentum"])
        return cls(encoder, bank, config["temperature"], n_negatives)

    def forward(self, views: Sequence[Tensor], index: Tensor) -> StepOutput:
        encoded = [self.encoder.encode(view) for view in views]  # V of (B, D), (B, d)
        z = torch.cat([view.embedding for view in encoded])  # V·B, d
        target = index.repeat(len(views))  # V·B
        carry = {"z": torch.stack([view.embedding.detach() for view in encoded], dim=1), "index": index}
        if self.n_negatives is None:
            loss, own, others = self.bank.loss(z, target, self.temperature)
        else:
            logits = self.bank.sampled_logits(z, target, self.n_negatives, self.temperature)  # V·B, 1 + K
            n_images = len(self.bank.memory)
            log_z = torch.where(self.has_z, self.log_z, estimate_log_z(logits, n_images))
            loss = nce_loss(logits, n_images, log_z)
            carry["log_z"] = log_z.expand(len(index))
            similarity = logits.detach() * self.temperature
            own, others = (part.mean() for part in similarity.tensor_split([1], dim=1))
        return StepOutput(
            loss,
            encoded,
            logs={
                "instance_loss": loss.detach(),
                "positive_similarity": own,
                "negative_similarity": others,
            },
            carry=carry,
        )

    @torch.no_grad()
    def after_step(self, step: StepOutput, progress: float) -> None:
        if self.n_negatives is not None:
            log_z = step.carry["log_z"]  # B: each part's own, whose mean over equal parts is the batch's
            mean = log_z.logsumexp(dim=0) - math.log(len(log_z))
            self.log_z.copy_(torch.where(self.has_z, self.log_z, mean))
            self.has_z.fill_(True)
        for z in step.carry["z"].unbind(dim=1):  # B, d
            self.bank.update(z, step.carry["index"])  # normalise(m · memory[index] + (1 - m) · z)
