"""CLD, the paper's contribution: cross-level instance-group discrimination over any method.

Supplement, sections 3 to 6. Each view of a batch is clustered into groups; an instance in one view is then
told from the *other* view's groups which of them its other view belongs to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cld.clustering import CLUSTERINGS
from cld.losses import cross_level_loss
from cld.methods.base import Method, StepOutput
from cld.methods.encoder import Encoded, Encoder, build_projection


class AddCLD(Method):
    """``method`` with weight · cross-level loss added; itself a method.

    Args:
        method: any method that gives at least two ``group_inputs``; the first two are compared.
        group_head: backbone features (B, D) to group features (B, d), in a subspace of their own; None groups
            the instance features themselves ("shared", section 4).
        settings: the ``cld`` section of a run's configuration.
    """

    def __init__(self, method: Method, group_head: nn.Module | None, settings: Mapping):
        super().__init__()
        self.method, self.group_head, self.settings = method, group_head, settings

    @classmethod
    def from_config(cls, method: Method, config: Mapping) -> "AddCLD":
        """CLD over ``method`` as a run's configuration says."""
        group_head = None
        if config["cld"]["subspace"] == "separate":
            group_head = build_projection(config, method.encoder.backbone.out_features)
            if config["head"]["shared_hidden"]:
                group_head[0] = method.encoder.head[0]  # the linear layer; ReLU follows in both
        return cls(method, group_head, config["cld"])

    @property
    def encoder(self) -> Encoder:
        return self.method.encoder

    def encode_keys(self, views: Sequence[Tensor]) -> Tensor | None:
        """The base method's keys."""
        return self.method.encode_keys(views)

    def forward(self, views: Sequence[Tensor], index: Tensor, *keys: Tensor) -> StepOutput:
        step = self.method(views, index, *keys)
        features = self.group_features(step.group_inputs[:2])  # 2, B, d
        labels, centroids = self.cluster(features)  # 2, B; 2, K, d
        if not self.settings["cross_augmentation"]:  # section 5: each view against its own groups
            labels, centroids = labels.flip(0), centroids.flip(0)
        of_views = (*features, *labels, *centroids)
        loss = cross_level_loss(*of_views, self.settings["temperature"])  # type: ignore[call-arg]
        sizes = loss.new_zeros(centroids.shape[:2]).scatter_add_(
            1, labels, loss.new_ones(labels.shape)
        )  # 2, K
        logs = {"cld_loss": loss.detach(), "largest_group": sizes.amax(dim=1).mean()}
        return replace(step, loss=step.loss + self.settings["weight"] * loss, logs=step.logs | logs)

    def after_step(self, step: StepOutput, progress: float) -> None:
        self.method.after_step(step, progress)

    def group_features(self, views: Sequence[Encoded]) -> Tensor:
        """Of V views, unit rows (V, B, d) in the subspace where groups are formed."""
        if self.group_head is None:
            return torch.stack([view.embedding for view in views])
        return F.normalize(torch.stack([self.group_head(view.features) for view in views]), dim=2)

    def cluster(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Groups of each view (2, B, d): labels (2, B) and centroids (2, K, d)."""
        settings = self.settings
        labels, centroids = CLUSTERINGS[settings["clustering"]](
            features, settings["n_groups"], settings["n_iters"]
        )
        return labels, centroids if settings["gradient_through_centroids"] else centroids.detach()
