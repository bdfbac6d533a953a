"""A training step's time over that of the bare pass, and its operators; what the default settings gain.

``python benchmarks/bench_steps.py`` takes about five minutes, and needs a C++ compiler. The bare pass is the
backbone's alone: forward and backward of views with gradient, forward of the others.
"""

import copy
from collections.abc import Callable, Iterator, Mapping

import torch
from timing import Row, medians, on_one_core, record
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile
from torchvision.transforms.v2 import functional as v2

from cld import clustering
from cld.augment.views import Augment
from cld.config import load_method, load_run
from cld.methods.encoder import AUTOCAST
from cld.training.loop import start
from cld.training.state import TrainingState
from cld.training.step import Part, train_step

#: The paper's bank is one of CIFAR's 50,000 images, its queue 65,536 keys.
N_IMAGES, QUEUE = 50_000, 65_536
#: A stride of two and one block a stage: a fifth of ResNet-18, so that the rest of a step weighs more.
SMALLER = {
    "backbone.blocks": [1, 1, 1, 1],
    "backbone.stem": "small_stride2",
    "precision": "fp32",
    "optimiser.batch_size": 128,
    "cld.n_groups": 64,
}
#: ResNet-18 at the default settings; 64 images keep a turn below two seconds.
RESNET18 = {"optimiser.batch_size": 64, "cld.n_groups": 32, "precision": "auto"}
PLAIN = {"speed.channels_last": False, "precision": "fp32"}
METHODS = ("npid", "moco", "moco_v2")
#: Operators that do nothing on a device: they make views, or allocate.
NO_LAUNCH = {
    *("view", "reshape", "expand", "expand_as", "t", "transpose", "permute", "slice", "select", "unsqueeze"),
    *("squeeze", "as_strided", "as_strided_", "alias", "detach", "detach_", "unbind", "split", "chunk"),
    *("_unsafe_view", "unfold", "narrow", "resolve_conj", "resolve_neg", "result_type", "lift_fresh"),
    *("empty", "empty_like", "empty_strided", "new_empty", "resize_", "scalar_tensor", "_local_scalar_dense"),
    *("is_nonzero", "item", "diagonal", "tensor_split", "movedim", "split_with_sizes", "view_as", "to"),
    *("mT", "numpy_T", "T", "unsqueeze_", "squeeze_", "_reshape_alias", "flatten", "contiguous", "zero_"),
}
#: Operators that others use on a CPU where a GPU's kernel needs none: scalars' types, and zeros to add to.
WITHIN = {*NO_LAUNCH, "_to_copy", "copy_", "fill_"}
#: Operators that are one launch whatever a CPU makes them of.
ONE_LAUNCH = ("_foreach", "mean", "native_batch_norm")
#: Makes the compiler's kernels visible to the profiler.
VISIBLE = {"cpp.enable_kernel_profile": True}


def main() -> None:
    """Record the rows."""
    rows = (step_against_bare_pass(method, network) for network in (SMALLER, RESNET18) for method in METHODS)
    about = f"Time of a step with CLD over the bare pass; a bank of {N_IMAGES}, a queue of {QUEUE}."
    record("Steps", about, rows)
    about = "Time of forward and backward in fp32, NCHW, over that of the setting: higher is better."
    record("Default settings on this CPU", about, [gain("npid")])
    about = "Operators that would be kernel launches on a GPU, of a step's; NPID + CLD, ResNet-18."
    record("Launches", about, launches())


def training_step(
    method: str, overrides: Mapping, n_images: int | None = None, side: int = 32
) -> tuple[Callable[[], None], TrainingState, tuple[torch.Tensor, ...]]:
    """A step on random views, with the state that it changes and the views."""
    n_images = n_images or (QUEUE if method.startswith("moco") else N_IMAGES)  # no queue exceeds an epoch
    config = load_run("paper", "cifar10", method, 0, {"queue.size": QUEUE, **overrides})
    state = start(config, "none", n_images, torch.device("cpu"))
    size = config["optimiser"]["batch_size"]
    views = tuple(torch.randn(size, 3, side, side) for _ in range(config["views"]))
    part = Part(views, torch.randperm(n_images)[:size], torch.Generator())
    return lambda: train_step(state, state.method, [part], 0.01, 0.5), state, views


def bare_pass(method: str, state: TrainingState, views: tuple[torch.Tensor, ...]) -> Callable[[], None]:
    """The backbone alone, in the precision of the step."""
    encoder, n_keys = state.method.encoder, load_method(method)[0]["key_views"]
    dtype = AUTOCAST.get(encoder.precision)

    def bare() -> None:
        encoder.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype is not None, cache_enabled=False):
            for view in views[: len(views) - n_keys]:
                encoder.backbone(view).sum().backward()
            with torch.no_grad():
                for view in views[len(views) - n_keys :]:
                    encoder.backbone(view)

    return bare


def step_against_bare_pass(method: str, network: Mapping) -> Row:
    """Time of a whole step over that of the bare pass, and of it the two products with the bank or queue."""
    step, state, views = training_step(method, network)
    base, n_queries = state.method.method, 2 * len(views[0])
    rows = base.bank.memory if method == "npid" else base.queue.queue
    features, similarity = torch.randn(n_queries, rows.shape[1]), torch.empty(n_queries, len(rows))

    def products() -> None:
        torch.mm(features, rows.T, out=similarity) @ rows

    whole, alone, share = medians(step, bare_pass(method, state, views), products)
    name = "ResNet-18" if network is RESNET18 else "a block a stage, stride 2"
    note = (
        f"{alone:.2f} s, {len(views[0])} images, {state.method.encoder.precision}; the two products with "
        f"{len(rows)} rows alone are {share / alone:.3f}, in fp32: in bf16 the gradient across "
        f"unit features is off by {error_of_bf16(rows):.1%}"
    )
    return Row(f"{method}, {name}", "forward and backward", whole / alone, "<= 1.02", note)


def error_of_bf16(rows: torch.Tensor) -> float:
    """Relative error of the gradient through a softmax over rows whose two products are made in bf16."""
    features = F.normalize(torch.randn(64, rows.shape[1]), dim=1)

    def gradient(dtype: torch.dtype) -> torch.Tensor:
        weights = (features.to(dtype) / 0.07 @ rows.to(dtype).T).float().softmax(dim=1)
        whole = (weights.to(dtype) @ rows.to(dtype)).float()
        # unit features follow only what is across them
        return whole - (whole * features).sum(dim=1, keepdim=True) * features

    exact = gradient(torch.float32)
    return float((gradient(torch.bfloat16) - exact).norm() / exact.norm())


def gain(method: str) -> Row:
    """Time of forward and backward without the default settings over that with them."""
    states = [training_step(method, {**RESNET18, **extra})[1:] for extra in ({}, PLAIN)]
    default, views = states[0]
    precision = default.method.encoder.precision
    dtype = AUTOCAST.get(precision, torch.float32)
    without_casts = copy.deepcopy(default.method.encoder.backbone).to(dtype)

    def uncast() -> None:
        without_casts.zero_grad()
        for view in views:
            without_casts(view.to(dtype)).sum().backward()

    seconds, plain, least = medians(*(bare_pass(method, *each) for each in states), uncast)
    what = f"ResNet-18, 32 × 32, precision auto ({precision} here), channels-last"
    note = f"{plain / least:.2f} with weights kept in {precision}, without any cast"
    return Row(what, "fp32, NCHW", plain / seconds, ">= 2.0", note)


def launches() -> Iterator[Row]:
    """Shares of a step's operators, as they are and with ``speed.compile``."""
    step, state, views = training_step(
        "npid", {"precision": "fp32", "optimiser.batch_size": 32, "cld.n_groups": 16}, 512
    )
    state.optimiser.param_groups[0]["foreach"] = True  # as it is by itself on a GPU
    method, size, bare = state.method, len(views[0]), bare_pass("npid", state, views)
    augment = Augment(state.config["augment"], 32, [0.5] * 3, [0.25] * 3)
    with OnDevice() as views_calls:
        augment(torch.zeros(2 * size, 32, 32, 3, dtype=torch.uint8, device="meta"), torch.Generator())
    with OnDevice() as grouping:  # empty groups are filled on every device but a CPU, which can look first
        clustering.spherical_kmeans(torch.zeros(2, size, 128, device="meta"), 16, 5)
    on_cpu = operators_of(lambda: clustering.spherical_kmeans(torch.randn(2, size, 128), 16, 5))
    n_backbone, n_step = operators_of(bare), operators_of(step) + grouping.n - on_cpu
    total = n_step + views_calls.n
    note = f"of {total} operators; 0.15 would leave {int(n_backbone * 0.15 / 0.85)} to views and all else"
    yield Row("all but the backbone", "all", 1 - n_backbone / total, "<= 0.15", note)
    for part, n in {
        "of them: two views": views_calls.n,
        "for comparison: torchvision's two views, one draw for all images": operators_of(torchvision_views),
        "of them: k-means, 5 iterations": grouping.n,
        "of them: heads, losses, bank, SGD, log": n_step - n_backbone - grouping.n,
    }.items():
        yield Row(part, "all", n / total, "", f"{n} operators")
    method.compile(options=VISIBLE)
    compiled = operators_of(step)
    method.encoder.backbone.compile(options=VISIBLE)
    n_compiled = operators_of(bare)
    note = f"{compiled - n_compiled} of {compiled}; the views, not compiled, are {views_calls.n} more"
    yield Row(
        "speed.compile: all but backbone and views", "all but views", 1 - n_compiled / compiled, "", note
    )
    note = f"{compiled - n_compiled} kernels; the backbone, not compiled, has {n_backbone} operators"
    share = (compiled - n_compiled) / (n_backbone + compiled - n_compiled)
    yield Row("the same beside the backbone as it is", "all but views", share, "", note)


def torchvision_views() -> None:
    """NPID's views of a batch by torchvision: fewer operators than views with draws for each image need."""
    for _ in range(2):
        images = torch.zeros(64, 3, 32, 32, dtype=torch.uint8)
        images = v2.resized_crop(images, 2, 2, 20, 20, [32, 32], antialias=True)
        images = v2.to_dtype(v2.horizontal_flip(images), torch.float32, scale=True)
        images = v2.adjust_contrast(v2.adjust_brightness(images, 1.2), 1.2)
        images = v2.adjust_hue(v2.adjust_saturation(images, 1.2), 0.05)
        v2.normalize(v2.rgb_to_grayscale(images, 3), [0.5] * 3, [0.25] * 3)


class OnDevice(TorchFunctionMode):
    """Counts PyTorch's calls that give a tensor on the device ``meta``, which has no data to wait for."""

    def __init__(self):
        super().__init__()
        self.n = 0

    def __torch_function__(
        self, function: Callable, types: object, args: tuple = (), kwargs: Mapping | None = None
    ) -> object:
        result = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "")
        first = result[0] if isinstance(result, tuple) and result else result
        is_there = isinstance(first, torch.Tensor) and first.device.type == "meta"
        self.n += is_there and name not in {*NO_LAUNCH, "__get__", "__getitem__"}
        return result


def operators_of(call: Callable[[], object]) -> int:
    """How many operators a call has run that would be launches on a GPU; a ``_foreach`` operator is one."""
    call()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        call()

    def launched(event: object) -> int:
        if "cpp_fused" in event.name:  # a kernel of the compiler's
            return 1
        name = event.name.removeprefix("aten::")
        is_operator = name != event.name
        is_one = is_operator and (name.startswith(ONE_LAUNCH) or not any(map(is_busy, event.cpu_children)))
        if is_one and name not in NO_LAUNCH:
            return 1
        return sum(map(launched, event.cpu_children))

    def is_busy(event: object) -> bool:
        return event.name.startswith("aten::") and event.name.removeprefix("aten::") not in WITHIN

    return sum(launched(event) for event in recorded.events() if event.cpu_parent is None)


if __name__ == "__main__":
    on_one_core()
    main()
