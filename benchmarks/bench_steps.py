"""A training step's time over that of the bare pass, and its operators; what the default settings gain.

``python benchmarks/bench_steps.py`` takes about three minutes. The bare pass is the backbone's alone: forward
and backward of views with gradient, forward of the others.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import torch
from timing import Row, medians, on_one_core, record
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile

from cld import clustering
from cld.augment.views import Augment
from cld.config import load_method, load_run
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
    dtype = {"bf16": torch.bfloat16}.get(encoder.precision)

    def bare() -> None:
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
        f"{len(rows)} rows alone are {share / alone:.3f}"
    )
    return Row(f"{method}, {name}", "forward and backward", whole / alone, "<= 1.02", note)


def gain(method: str) -> Row:
    """Time of forward and backward without the default settings over that with them."""
    states = [training_step(method, {**RESNET18, **extra})[1:] for extra in ({}, PLAIN)]
    default, plain = medians(*(bare_pass(method, *each) for each in states))
    precision = states[0][0].method.encoder.precision
    what = f"ResNet-18, 32 × 32, precision auto ({precision} here), channels-last"
    return Row(what, "fp32, NCHW", plain / default, ">= 2.0")


def launches() -> Iterator[Row]:
    """Shares of a step's operators."""
    step, state, views = training_step(
        "npid", {"precision": "fp32", "optimiser.batch_size": 32, "cld.n_groups": 16}, 512
    )
    state.optimiser.param_groups[0]["foreach"] = True  # as it is by itself on a GPU
    size, whole = len(views[0]), operators_of(step)
    backbone = operators_of(bare_pass("npid", state, views))
    augment = Augment(state.config["augment"], 32, [0.5] * 3, [0.25] * 3)
    images = torch.zeros(2 * size, 32, 32, 3, dtype=torch.uint8, device="meta")
    with OnDevice() as views_calls:
        augment(images, torch.Generator())
    features = torch.randn(2, size, 128)
    grouped = operators_of(lambda: clustering.spherical_kmeans(features, 16, 5))
    n_backbone, n_step, n_kmeans = (sum(each.values()) for each in (backbone, whole, grouped))
    total = n_step + views_calls.n
    yield Row("all but the backbone", "all", 1 - n_backbone / total, "<= 0.15", f"of {total} operators")
    for part, n in {
        "two views": views_calls.n,
        "k-means, 5 iterations": n_kmeans,
        "heads, losses, bank, SGD, log": n_step - n_backbone - n_kmeans,
    }.items():
        yield Row(f"of them: {part}", "all", n / total, "", f"{n} operators")


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
        is_there = isinstance(result, torch.Tensor) and result.device.type == "meta"
        self.n += is_there and name not in {*NO_LAUNCH, "__get__", "chunk"}
        return result


def operators_of(call: Callable[[], object]) -> Counter:
    """How often a call has each operator run; a ``_foreach`` operator is one launch."""
    call()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        call()
    counts: Counter = Counter()

    def count(event: object) -> None:
        name = event.name.removeprefix("aten::")
        inner = [child for child in event.cpu_children if child.name.startswith("aten::")]
        busy = [child for child in inner if child.name.removeprefix("aten::") not in NO_LAUNCH]
        if name.startswith("_foreach") or not busy:
            counts[name] += name not in NO_LAUNCH and event.name.startswith("aten::")
        else:
            for child in inner:
                count(child)

    def roots(events: list) -> Iterator[object]:
        for event in events:
            if event.name.startswith("aten::"):
                yield event
            else:
                yield from roots(event.cpu_children)

    for event in roots([event for event in recorded.events() if event.cpu_parent is None]):
        count(event)
    return counts


if __name__ == "__main__":
    on_one_core()
    main()
