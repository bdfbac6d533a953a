"""How much a run has to compute, from its configuration alone: nothing here imports PyTorch."""

from collections.abc import Mapping

from cld.config import load_dataset, load_method, load_source

#: Blocks of the ResNets, and whether a block has three convolutions (a bottleneck, four times as wide).
RESNETS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
}
#: Kernel size of the first convolution, its stride, and that of the pooling behind it.
STEMS = {"imagenet": (7, 2, 2), "small": (3, 1, 1), "small_stride2": (3, 2, 1)}
#: Crops to train on, as the supplement states (section 1): where they are cut from real scenes.
KITCHEN_TRAIN = 20_800
#: Side of a JPEG's views where the run says ``auto``, see :mod:`cld.data.decoding`.
JPEG_SIDE = 224


def resnet_macs(backbone: Mapping, side: int) -> float | None:
    """Multiply-accumulate operations of a forward pass of one image; None for another network's."""
    if backbone["name"] not in RESNETS:
        return None
    own_blocks, is_bottleneck = RESNETS[backbone["name"]]
    kernel, stride, pool = STEMS[backbone["stem"]]
    side = -(-side // stride)
    total = 3 * backbone["width"] * kernel**2 * side**2
    side, channels = -(-side // pool), backbone["width"]
    for stage, n_blocks in enumerate(backbone["blocks"] or own_blocks):
        width = backbone["width"] * 2**stage
        out = width * 4 if is_bottleneck else width
        for block in range(n_blocks):
            before, shrinks = side**2, stage > 0 and block == 0
            side = -(-side // 2) if shrinks else side
            if is_bottleneck:
                total += channels * width * before + 9 * width**2 * side**2 + width * out * side**2
            else:
                total += (channels + width) * width * 9 * side**2
            if shrinks or channels != out:
                total += channels * out * side**2
            channels = out
    return float(total)


def n_images(preset: str, run: Mapping) -> int | None:
    """How many images a run learns from, as its dataset's files say; None where they do not."""
    dataset = load_dataset(preset, run["dataset"])
    expected = dataset["build"].get("expect") or {}
    sizes = [expected.get(split) for split in run["train_on"]]
    if all(sizes):
        return sum(sizes)
    generated = load_source(preset, dataset["source"])["generate"] or {}
    if "train_per_synset" in generated:
        return generated["listed_synsets"] * generated["train_per_synset"]
    if run["dataset"] == "kitchen_hc" and not generated:
        return KITCHEN_TRAIN
    sizes = [generated.get(split) for split in run["train_on"]]
    return sum(sizes) if all(sizes) else None


def run_macs(preset: str, run: Mapping, side: int | None, images: int | None) -> float | None:
    """Multiply-accumulate operations of a whole pre-training; None where they cannot be told.

    Args:
        side: of the store's images, where the run takes theirs.
        images: that the run learns from.
    """
    side = run["image_size"] if run["image_size"] != "auto" else side
    per_view = resnet_macs(run["backbone"], side) if side else None
    if per_view is None or not images:
        return None
    about, _ = load_method(run["method"])
    passes = (run["views"] - about["key_views"]) * about["passes_per_view"]
    passes += about["key_views"] + about["passes_per_image"]
    return per_view * passes * images * run["optimiser"]["epochs"]
