"""How much a pre-training has to compute, and how long that takes."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from cld.config import load_dataset, load_method, load_source
from cld.models.backbones import build_backbone


class CostModel:
    """Seconds of a pre-training from its multiply-accumulate operations.

    Args:
        speeds: multiply-accumulates a second of each pre-training that is recorded; their median counts.
        assumed: the speed where none is recorded.
    """

    def __init__(self, speeds: Sequence[float], assumed: float):
        self.speeds = speeds
        self.macs_per_s = median(speeds) if speeds else assumed

    def seconds(self, macs: float | None) -> float | None:
        """Of so much work; None where it is not known."""
        return None if macs is None else macs / self.macs_per_s

    def __str__(self) -> str:
        speed = f"{self.macs_per_s:.2g} multiply-accumulates a second"
        if not self.speeds:
            return f"assumed: {speed}; no run is recorded yet"
        measured = f"{speed}, from {len(self.speeds)} recorded run(s)"
        if len(self.speeds) == 1:
            return measured
        off = sorted(max(self.macs_per_s / speed, speed / self.macs_per_s) for speed in self.speeds)
        return f"{measured}, which differ from it by a factor of {median(off):.2f} (median) to {off[-1]:.2f}"


def run_macs(run: Mapping, side: int | None, n_images: int | None) -> float | None:
    """Multiply-accumulate operations of a whole pre-training; None where they are not known.

    Heads, losses and memories are not counted.

    Args:
        side: of the store's images in pixels, which the run takes where its ``image_size`` is ``auto``.
        n_images: that the run learns from.
    """
    side = run["image_size"] if run["image_size"] != "auto" else side
    per_view = backbone_macs(run["backbone"], side) if side else None
    if per_view is None or not n_images:
        return None
    return per_view * passes(run) * n_images * run["optimiser"]["epochs"]


def passes(run: Mapping) -> float:
    """A step's passes of a view through the backbone, for each image, in forward passes."""
    about, _ = load_method(run["method"])
    key_views = about["key_views"]
    return (run["views"] - key_views) * about["passes_per_view"] + key_views + about["passes_per_image"]


def backbone_macs(settings: Mapping, side: int) -> float | None:
    """Multiply-accumulate operations of a forward pass of one image, as PyTorch counts them.

    None where the network takes no images of this side.

    Raises:
        InputError: there is no such network.
    """
    return _backbone_macs(json.dumps(settings), side)


@cache
def _backbone_macs(settings: str, side: int) -> float | None:
    device = torch.device("meta")  # shapes without numbers
    try:
        with device:
            network = build_backbone(json.loads(settings))
    except NotImplementedError:  # RegNet computes its widths with tensors
        network = build_backbone(json.loads(settings)).to(device)
    try:
        with FlopCounterMode(display=False) as counter:
            network.eval()(torch.empty(1, 3, side, side, device=device))
    except (AssertionError, RuntimeError):
        return None
    return counter.get_total_flops() / 2


def n_images(preset: str, run: Mapping) -> int | None:
    """How many images a run learns from, by its dataset's configuration; None where that has no number."""
    dataset = load_dataset(preset, run["dataset"])
    generated = load_source(preset, dataset["source"])["generate"]
    if generated is None:
        counts = dataset["plan"] | (dataset["build"].get("expect") or {})
    elif "train_per_synset" in generated:
        return generated["listed_synsets"] * generated["train_per_synset"]
    else:
        counts = generated
    sizes = [counts.get(split) for split in run["train_on"]]
    return sum(sizes) if all(sizes) else None
