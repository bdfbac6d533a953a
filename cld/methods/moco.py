"""MoCo: He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020.

MoCo v2 (Chen et al. 2020) is the same method with an MLP head, blur, a cosine schedule and T 0.2.

The last view is the key, the others are queries; with two queries, as the authors' runs with CLD have, the
loss is the mean over them. A batch that is normalised in parts has its keys shuffled across them.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cld.memory import MomentumQueue
from cld.methods.base import Method, StepOutput
from cld.methods.encoder import Encoder, build_encoder
from cld.methods.shuffled_keys import encode_shuffled
from cld.models.ema_update import ema_update_
from cld.runtime.errors import InputError


class MoCo(Method):
    """Match each query with its image's key among a queue of other images' keys."""

    def __init__(self, encoder: Encoder, queue: MomentumQueue, momentum: float, temperature: float):
        super().__init__()
        self.encoder, self.queue, self.momentum, self.temperature = encoder, queue, momentum, temperature
        self.key_encoder = copy.deepcopy(encoder).requires_grad_(False)

    @classmethod
    def from_config(cls, config: Mapping, n_images: int) -> "MoCo":
        """The method of a run's configuration for a training set of ``n_images``.

        Raises:
            InputError: the queue is longer than an epoch: it would hold older keys of a batch's own images.
        """
        size = config["queue"]["size"]
        if size > n_images:
            raise InputError(
                f"queue.size {size}: there are {n_images} training images; set queue.size={n_images} or less"
            )
        encoder = build_encoder(config, config["precision"])
        queue = MomentumQueue(size, config["head"]["dim"])
        return cls(encoder, queue, config["queue"]["momentum"], config["temperature"])

    def encode_keys(self, views: Sequence[Tensor]) -> Tensor:
        """Keys (B, d) of the parts' last views, shuffled across the parts of the batch meanwhile."""
        return encode_shuffled(self.key_encoder, torch.cat(list(views)), len(views))

    def forward(self, views: Sequence[Tensor], index: Tensor, keys: Tensor | None = None) -> StepOutput:
        *queries, key = views
        k = self.encode_keys([key]) if keys is None else keys  # B, d
        encoded = [self.encoder.encode(view) for view in queries]  # Q of (B, D), (B, d)
        q = torch.cat([view.embedding for view in encoded])  # Q·B, d
        loss, positive, negative = self.queue.loss(q, k.repeat(len(queries), 1), self.temperature)
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
        ema_update_(self.key_encoder, self.encoder, self.momentum)  # θ_k = m · θ_k + (1 - m) · θ_q
        self.queue.enqueue(step.carry["k"])
