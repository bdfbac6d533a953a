"""MoCo: He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020.

MoCo v2 (Chen et al. 2020) is the same method with an MLP head, blur, a cosine schedule and T 0.2.

The last view is the key, the others are queries; with two queries, as the authors' runs with CLD have, the
loss is the mean over them. On one process, shuffling the keys' batch for its normalisation changes nothing.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cld.errors import InputError
from cld.memory import MomentumQueue, follow_
from cld.methods.contract import StepOutput
from cld.methods.encoder import Encoder, build_encoder


class MoCo(nn.Module):
    """Match each query with its image's key among a queue of other images' keys."""

    n_key_views = 1

    def __init__(self, encoder: Encoder, queue: MomentumQueue, momentum: float, temperature: float):
        super().__init__()
        self.encoder, self.queue, self.momentum, self.temperature = encoder, queue, momentum, temperature
        self.key_encoder = copy.deepcopy(encoder).requires_grad_(False)

    @classmethod
    def from_config(cls, config: Mapping, n_images: int) -> "MoCo":
        """The method of a run's configuration; the queue does not grow with ``n_images``.

        Raises:
            InputError: there is no view left for a query.
        """
        if config["views"] < 2:
            raise InputError(
                f"views {config['views']}: MoCo needs a query and a key view; set views=2 or more"
            )
        encoder = build_encoder(config, bf16=config["precision"] == "bf16")
        queue = MomentumQueue(config["queue"]["size"], config["head"]["dim"])
        return cls(encoder, queue, config["queue"]["momentum"], config["temperature"])

    def forward(self, views: Sequence[Tensor], index: Tensor) -> StepOutput:
        *queries, key = views
        encoded = [self.encoder.encode(view) for view in queries]  # Q of (B, D), (B, d)
        q = torch.cat([view.embedding for view in encoded])  # Q·B, d
        with torch.no_grad():
            k = self.key_encoder(key)  # B, d
        logits = self.queue.logits(q, k.repeat(len(queries), 1), self.temperature)  # Q·B, 1 + K
        loss = F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.int64))
        positive, negative = (part.mean() * self.temperature for part in logits.detach().tensor_split([1], 1))
        return StepOutput(
            loss,
            encoded,
            logs={
                "instance_loss": loss.detach(),
                "positive_similarity": positive,
                "negative_similarity": negative,
            },
            carry={"k": k},
        )

    @torch.no_grad()
    def after_step(self, step: StepOutput, progress: float) -> None:
        follow_(self.key_encoder, self.encoder, self.momentum)  # θ_k = m · θ_k + (1 - m) · θ_q
        self.queue.enqueue(step.carry["k"])
