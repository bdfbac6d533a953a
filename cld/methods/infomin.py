"""InfoMin: Tian et al., What Makes for Good Views for Contrastive Learning?, NeurIPS 2020.

As the authors' code (PyContrast) runs it: MoCo with an MLP head, whose views share less information
(RandAugment), and a jigsaw branch (Misra and van der Maaten, PIRL, CVPR 2020) that finds the same key from
the image's shuffled patches. There the patches come from a view of their own, without changes of colour;
here from the first query's view, so that all views are of one kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from cld.augment.jigsaw import GRID, jigsaw_patches, patch_size
from cld.methods.base import Method, StepOutput
from cld.methods.encoder import Encoder, build_projection
from cld.methods.moco import MoCo
from cld.models.heads import build_head


class JigsawHead(nn.Module):
    """From the features of an image's nine patches to one embedding.

    Args:
        patch_head: (B · 9, D) to (B · 9, d), for each patch.
        merge: (B, 9 · d) to (B, d), of the nine side by side.
    """

    def __init__(self, patch_head: nn.Module, merge: nn.Module):
        super().__init__()
        self.patch_head, self.merge = patch_head, merge

    def forward(self, features: Tensor) -> Tensor:
        """(B · 9, D), nine rows of each image after one another, to (B, d)."""
        return self.merge(self.patch_head(features).view(len(features) // GRID**2, -1))


class InfoMin(Method):
    """MoCo, with a second kind of query: (1 - β) · loss of the views + β · loss of the patches.

    Args:
        moco: gives the queries' loss, the keys and the queue.
        jigsaw_head: embeds the patches' features, which the queries' own backbone computes.
        jigsaw_weight: β.
    """

    def __init__(self, moco: MoCo, jigsaw_head: JigsawHead, jigsaw_weight: float):
        super().__init__()
        self.moco, self.jigsaw_head, self.jigsaw_weight = moco, jigsaw_head, jigsaw_weight

    @classmethod
    def from_config(cls, config: Mapping, n_images: int) -> "InfoMin":
        """The method of a run's configuration; see :meth:`MoCo.from_config`."""
        moco = MoCo.from_config(config, n_images)
        kind, dim = config["head"]["kind"], config["head"]["dim"]
        patch_head = build_projection(config, moco.encoder.backbone.out_features)
        merge = build_head("norm_linear" if kind.startswith("norm") else "linear", GRID**2 * dim, dim)
        return cls(moco, JigsawHead(patch_head, merge), config["infomin"]["jigsaw_weight"])

    @property
    def encoder(self) -> Encoder:
        return self.moco.encoder

    def encode_keys(self, views: Sequence[Tensor]) -> Tensor:
        """MoCo's keys (B, d)."""
        return self.moco.encode_keys(views)

    def forward(self, views: Sequence[Tensor], index: Tensor, *keys: Tensor) -> StepOutput:
        step = self.moco(views, index, *keys)
        size = patch_size(views[0].shape[-1])
        patches = jigsaw_patches(views[0], size, torch.default_generator)  # B·9, 3, p, p
        q = self.encode_patches(patches)  # B, d
        jigsaw_loss, *_ = self.moco.queue.loss(q, step.carry["k"], self.moco.temperature)
        loss = (1 - self.jigsaw_weight) * step.loss + self.jigsaw_weight * jigsaw_loss
        logs = {"instance_loss": loss.detach(), "jigsaw_loss": jigsaw_loss.detach()}
        return replace(step, loss=loss, logs=step.logs | logs)

    def encode_patches(self, patches: Tensor) -> Tensor:
        """Unit rows (B, d) of ``patches`` (B · 9, 3, p, p): the encoder's backbone under the jigsaw head."""
        return Encoder(self.encoder.backbone, self.jigsaw_head, self.encoder.precision)(patches)

    def after_step(self, step: StepOutput, progress: float) -> None:
        self.moco.after_step(step, progress)
