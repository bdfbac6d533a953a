"""What makes torchvision's detector see a slice of a batch as it would see it within the whole batch.

Four things in its training depend on what else is in the batch, besides batch normalisation: images are
padded to the largest one's size; scales are drawn image by image from torch's global generator; so are the
anchors and proposals to learn from; and each loss is a mean over all of these. torch's generator has to be in
the same state in every process before a step, and then it is in the same state after it.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from cld.runtime.distributed import all_gather_objects, all_reduce_max, rank, rank_slice, world_size

#: Whose samples each of the detector's losses is a mean over.
SAMPLED_BY = {
    "loss_objectness": "rpn",
    "loss_rpn_box_reg": "rpn",
    "loss_classifier": "roi_heads",
    "loss_box_reg": "roi_heads",
}


class SliceTransform(GeneralizedRCNNTransform):
    """torchvision's transform; in training, of this process's slice of a batch.

    Args:
        batch_size: of all processes.
    """

    def __init__(self, batch_size: int, **settings: object):
        super().__init__(**settings)
        self.batch_size = batch_size

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[object, list[dict[str, Tensor]] | None]:
        """Images of one size and their objects, see torchvision."""
        if not self.training:
            return super().forward(images, targets)
        own = rank_slice(self.batch_size)
        self._draw_scales(own.start)
        transformed = super().forward(images, targets)
        self._draw_scales(self.batch_size - own.stop)
        return transformed

    def _draw_scales(self, n: int) -> None:
        """Draw those of other processes' images."""
        for _ in range(n):
            self.torch_choice(self.min_size)

    def max_by_axis(self, the_list: list[list[int]]) -> list[int]:
        """The size that all images of the batch are padded to."""
        largest = super().max_by_axis(the_list)
        return list(all_reduce_max(*largest)) if self.training else largest


class SliceSampler(BalancedPositiveNegativeSampler):
    """torchvision's sampler, of this process's slice of a batch: it draws for the other images as well.

    Attributes:
        weight: of a mean over this process's samples, for the mean over the processes to be that over all
            samples.
    """

    weight: Tensor | float = 1.0

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Masks of what is sampled as positive and as negative, for each image."""
        device = matched_idxs[0].device
        counts = [(int((image >= 1).sum()), int((image == 0).sum())) for image in matched_idxs]
        batch, first = [], 0
        for number, theirs in enumerate(all_gather_objects(counts)):
            if number == rank():
                first = len(batch)
                batch += matched_idxs
            else:  # as many positives and negatives
                batch += [torch.arange(sum(both), device=device) < both[0] for both in theirs]
        masks = super().__call__(batch)
        sampled = torch.stack([(mask | other).sum() for mask, other in zip(*masks, strict=True)])
        own = slice(first, first + len(matched_idxs))
        self.weight = world_size() * sampled[own].sum() / sampled.sum()
        return masks[0][own], masks[1][own]


def batch_loss(detector: FasterRCNN, losses: Mapping[str, Tensor]) -> Tensor:
    """This process's share of a step's loss: the mean over the processes is the loss of the whole batch."""
    samplers = {name: getattr(detector, part).fg_bg_sampler for name, part in SAMPLED_BY.items()}
    return sum(loss * samplers[name].weight for name, loss in losses.items())
