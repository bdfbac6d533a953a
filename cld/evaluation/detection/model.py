"""Faster R-CNN (Ren et al. 2015) on a ResNet's fourth stage, "R50-C4", from torchvision's parts.

The image goes through the network up to ``layer3`` ("res4"), once. Proposals are found on these features, and
each proposal's piece of them goes through ``layer4`` ("res5") and, as in MoCo's detectors, an extra norm.
The strides are torchvision's: in the 3x3 convolutions.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from cld.models.sync_batchnorm import convert_sync_batchnorm
from cld.runtime.errors import InputError

STEM = ("conv1", "bn1", "relu", "maxpool")
STAGES = ("layer1", "layer2", "layer3", "layer4")


class BoxHead(nn.Sequential):
    """Pieces of features (R, C, S, S) to box features (R, D): the last stage, the extra norm, the mean."""

    def __init__(self, last_stage: nn.Module, out_features: int):
        super().__init__()
        self.layer4, self.norm = last_stage, nn.BatchNorm2d(out_features)

    def forward(self, pieces: Tensor) -> Tensor:
        """Box features (R, D)."""
        return self.norm(self.layer4(pieces)).mean(dim=(2, 3))


def require_stages(backbone: nn.Module, checkpoint: str) -> None:
    """Check that a backbone can be taken apart.

    Raises:
        InputError: it has not a ResNet's stages; names the checkpoint.
    """
    missing = [name for name in (*STEM, *STAGES) if not hasattr(backbone, name)]
    if missing:
        raise InputError(
            f"{checkpoint}: detection needs a backbone with a ResNet's stages, and {type(backbone).__name__} "
            f"has no {', '.join(missing)}; score a run of a ResNet, for example backbone.name=resnet50"
        )


def build_detector(
    backbone: nn.Module,
    n_classes: int,
    settings: Mapping,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device,
) -> FasterRCNN:
    """A detector on a run's backbone, whose weights it takes over; fresh layers from torch's generator.

    All layers learn, and all batch normalisation is over the images of all processes.

    Args:
        n_classes: C, without the background, which is the detector's class 0.
        mean, std: per RGB channel in [0, 1].

    Returns:
        torchvision's detector of images (3, H, W) in [0, 1]. The scales are those of training.
    """
    body = nn.Sequential(*(getattr(backbone, name) for name in (*STEM, *STAGES[:-1])))
    pool = MultiScaleRoIAlign(["0"], output_size=settings["boxes"]["pool"], sampling_ratio=0)
    body.out_channels = _try_out(body, pool, device)
    anchors, proposals, boxes = (settings[key] for key in ("anchors", "proposals", "boxes"))
    detector = FasterRCNN(
        body,
        min_size=settings["scales"]["train"],
        max_size=settings["scales"]["longest"],
        image_mean=list(mean),
        image_std=list(std),
        rpn_anchor_generator=AnchorGenerator((tuple(anchors["sizes"]),), (tuple(anchors["ratios"]),)),
        rpn_pre_nms_top_n_train=proposals["train"]["before_nms"],
        rpn_post_nms_top_n_train=proposals["train"]["after_nms"],
        rpn_pre_nms_top_n_test=proposals["test"]["before_nms"],
        rpn_post_nms_top_n_test=proposals["test"]["after_nms"],
        box_roi_pool=pool,
        box_head=BoxHead(backbone.layer4, backbone.out_features),
        box_predictor=FastRCNNPredictor(backbone.out_features, n_classes + 1),
        box_batch_size_per_image=boxes["sampled"],
        box_score_thresh=boxes["least_score"],
        box_detections_per_img=boxes["detections"],
    )
    return convert_sync_batchnorm(detector.to(device), device)


@torch.no_grad()
def _try_out(body: nn.Module, pool: MultiScaleRoIAlign, device: torch.device) -> int:
    """How many channels the features have; ``pool`` learns how many pixels apart they are.

    It takes that from the first images that it sees, and can be wrong where they are smaller than 46 pixels
    or padded to the size of others.
    """
    features = body.eval()(torch.zeros(1, 3, 64, 64, device=device))
    pool({"0": features}, [torch.zeros(1, 4, device=device)], [(64, 64)])
    return features.shape[1]
