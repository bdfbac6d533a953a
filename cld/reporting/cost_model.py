"""How much a pre-training or an evaluation has to compute, and how long that takes.

Work is counted in multiply-accumulate operations (MACs) of the backbone. Heads, classifiers, losses,
memories, decoding and augmentation are not: the CPUs of a job are taken to keep up with its GPU.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from cld.config import load_dataset, load_method, load_source
from cld.models.backbones import build_backbone

#: MACs of a forward pass of ResNet-50 on 224 x 224 pixels; a training step takes three times as many.
_RESNET50 = 4.09e9
#: Images a second that ResNet-50 is trained with at 224 x 224 pixels, by GPU and precision. A100: NVIDIA's
#: published benchmark (DeepLearningExamples, ResNet50 v1.5, one GPU of a DGX A100; its fp32 is TF32). The
#: others are rough: an RTX 2080 Ti as in benchmarks of its time, an H100 as 1.6 times an A100.
IMAGES_PER_S = {
    "rtx2080ti": {"fp32": 290, "fp16": 500},
    "a100": {"fp32": 938, "bf16": 2470, "fp16": 2470},
    "h100": {"fp32": 1500, "bf16": 4000, "fp16": 4000},
}
#: Evaluations compute in it whatever a run was trained in (:func:`cld.training.checkpoint.load_encoder`).
EVALUATED_IN = "fp32"


@dataclass(frozen=True)
class CostModel:
    """Seconds from multiply-accumulate operations.

    Attributes:
        assumed: MACs a second where none is recorded, by precision; ``""`` is any other precision.
        recorded: MACs a second of each pre-training that is recorded; their median counts.
        hardware: what ``assumed`` is of, for print; empty where recorded times count.
    """

    assumed: Mapping[str, float]
    recorded: Sequence[float] = ()
    hardware: str = ""

    def training(self, precision: str) -> float:
        """MACs a second of a pre-training."""
        return median(self.recorded) if self.recorded else self._assumed(precision)

    def evaluating(self, precision: str) -> float:
        """MACs a second of an evaluation of a run that was trained in ``precision``."""
        return self.training(precision) * self._assumed(EVALUATED_IN) / self._assumed(precision)

    def _assumed(self, precision: str) -> float:
        if precision == "auto":  # what the hardware is fastest in
            return max(self.assumed.values())
        return self.assumed.get(precision, self.assumed[""])

    def __str__(self) -> str:
        if not self.recorded:
            rates: dict[float, list[str]] = {}
            for precision, rate in self.assumed.items():
                rates.setdefault(rate, []).extend([precision] * bool(precision))
            shown = ", ".join(f"{rate:.2g} {'/'.join(names)}".strip() for rate, names in rates.items())
            return f"assumed{self.hardware}: {shown} multiply-accumulates a second; not measured here"
        middle = median(self.recorded)
        n = len(self.recorded)
        measured = f"{middle:.2g} multiply-accumulates a second, from {n} recorded run(s)"
        if n == 1:
            return measured
        off = sorted(max(middle / speed, speed / middle) for speed in self.recorded)
        return f"{measured}, which differ from it by a factor of {median(off):.2f} (median) to {off[-1]:.2f}"


def gpu_model(gpu: str) -> CostModel:
    """The assumed speed of a GPU of :data:`IMAGES_PER_S`."""
    rates = {name: images * 3 * _RESNET50 for name, images in IMAGES_PER_S[gpu].items()}
    return CostModel({**rates, "": rates["fp32"]}, hardware=f" of {gpu}")


@dataclass(frozen=True)
class Images:
    """What is known of a store's images.

    Attributes:
        side: of the images, in pixels; None where not known, or where they are JPEGs of any size.
        n: by split, as far as known; what is no split is never asked for.
    """

    side: int | None
    n: Mapping[str, int]

    def count(self, *splits: str) -> int | None:
        """Images in all of these splits; None where one is not known."""
        sizes = [self.n.get(split) for split in splits]
        return sum(sizes) if all(sizes) else None


def expected_images(preset: str, dataset: str) -> Images:
    """A store's images by its dataset's configuration, as long as the store does not exist."""
    settings = load_dataset(preset, dataset)
    generated = load_source(preset, settings["source"])["generate"]
    if generated is None:
        counts = (settings["build"].get("expect") or {}) | settings["plan"]
    elif "train_per_synset" in generated:
        n = generated["listed_synsets"]
        counts = {"train": n * generated["train_per_synset"], "test": n * generated["val_per_synset"]}
    else:
        counts = generated
    return Images(settings["plan"].get("image_size"), {name: n for name, n in counts.items() if n})


def run_macs(run: Mapping, images: Images) -> float | None:
    """Multiply-accumulate operations of a whole pre-training; None where they are not known."""
    per_view, n = _forward_macs(run, images), images.count(*run["train_on"])
    about, _ = load_method(run["method"])
    key_views = about["key_views"]
    passes = (run["views"] - key_views) * about["passes_per_view"] + key_views + about["passes_per_image"]
    return per_view and n and per_view * passes * n * run["optimiser"]["epochs"]


def _forward_macs(run: Mapping, images: Images) -> float | None:
    """Multiply-accumulate operations of a view's forward pass; None where they are not known."""
    side = run["image_size"] if run["image_size"] != "auto" else images.side
    return backbone_macs(run["backbone"], side) if side else None


def evaluation_macs(protocol: str, settings: Mapping, run: Mapping, images: Images) -> float | None:
    """Multiply-accumulate operations of scoring a run; None where they are not known.

    Args:
        protocol: one of :data:`cld.evaluation.protocol_names.METRICS` that scores a run.
        settings: of the protocol, see :func:`cld.config.load_protocol`.
        images: of the store that the run is scored on; the run's own, but for detection.
    """
    if protocol.startswith("detection"):
        return _detection_macs(protocol.removeprefix("detection_"), settings, run, images)
    forward, train = _forward_macs(run, images), images.count("train")
    scored = images.count(settings["split"])
    if forward is None or train is None or scored is None:
        return None
    if protocol.startswith("semisup"):
        trials = len(settings["lr"]) * len(settings["head_multiplier"])
        shown = 3 * settings["epochs"] * train * float(protocol.removeprefix("semisup_")) / 100
        return forward * (trials * (shown + train * settings["held_out_share"]) + scored)
    if protocol.startswith("linear"):
        once = forward * (train + scored)
        return once + forward * (settings["epochs"] * train + scored) if "epochs" in settings else once
    if protocol == "unsupervised":
        return 2 * forward * min(settings["max_images"], scored)
    beside = {"knn": ["train"], "retrieval": [settings.get("from")]}.get(protocol, [])
    n = images.count(*{settings["split"], *beside})
    return n and forward * n


def _detection_macs(dataset: str, settings: Mapping, run: Mapping, images: Images) -> float | None:
    """Faster R-CNN, fine-tuned and scored: an image's pass, and the last stage for each proposal.

    In place of the region proposal network it counts an image's pass through the last stage.
    """
    side, n_scored = 16 * settings["boxes"]["pool"], images.count(settings["split"])
    whole, piece = (backbone_macs(run["backbone"], side, part) for part in ("Global", "ResNet.layer4"))
    if whole is None or piece is None or n_scored is None:
        return None
    scales, schedule = settings["scales"], settings["schedule"][dataset]

    def image(short_side: float) -> float:
        return whole * short_side * min(4 / 3 * short_side, scales["longest"]) / side**2

    trained = 3 * schedule["iterations"] * settings["images_per_step"]
    return trained * (image(median(scales["train"])) + settings["boxes"]["sampled"] * piece) + n_scored * (
        image(scales["test"]) + settings["proposals"]["test"]["after_nms"] * piece
    )


def backbone_macs(settings: Mapping, side: int, part: str = "Global") -> float | None:
    """Multiply-accumulate operations of a forward pass of one image, as PyTorch counts them.

    None where the network takes no images of this side.

    Args:
        part: a module of the network, if not all of it: ``ResNet.layer4`` is its last stage.

    Raises:
        InputError: there is no such network.
    """
    return _module_macs(json.dumps(settings), side).get(part)


@cache
def _module_macs(settings: str, side: int) -> dict[str, float]:
    """By module; ``Global`` is the sum. Empty where the network takes no such images."""
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
        return {}
    return {name: sum(counts.values()) / 2 for name, counts in counter.get_flop_counts().items()}
