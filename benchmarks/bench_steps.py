"""A training step's time: of each method over a bare pass, and of each switch over a step without it.

``python benchmarks/bench_steps.py`` takes some minutes on one core, most of them in the compiler. The bare
pass is the backbone's alone: forward and backward of views with gradient, forward of the others.
"""

from collections.abc import Callable, Mapping

import torch
from timing import medians, on_one_core

from cld.config import load_method, load_run
from cld.methods import METHODS
from cld.training.loop import start
from cld.training.state import TrainingState
from cld.training.step import Part, train_step

N_IMAGES = 4096
#: Of the paper's network on small images, but for its depth: a block a stage keeps the benchmark short.
NETWORK = {
    "backbone.blocks": [1, 1, 1, 1],
    "backbone.width": 64,
    "backbone.stem": "small_stride2",
    "head.hidden": 512,
    "precision": "fp32",
    "queue.size": 4096,
    "optimiser.batch_size": 128,
    "cld.n_groups": 64,
}
PLAIN = {"speed.channels_last": False, "precision": "fp32"}
SWITCHES = {
    "channels_last": {"speed.channels_last": True},
    "channels_last, bf16": {"speed.channels_last": True, "precision": "bf16"},
    "channels_last, compile": {"speed.channels_last": True, "speed.compile": True},
}
#: Side of the views, and the network.
SIZES = {"32 x 32": (32, NETWORK), "96 x 96": (96, {**NETWORK, "optimiser.batch_size": 64})}


def main() -> None:
    """Print two tables of ratios."""
    print(f"{'method':<24} {'alone':>10} {'with CLD':>10}   step / bare forward and backward")
    for method in METHODS:
        ratios = [step_against_bare_pass(method, {**NETWORK, "cld.weight": weight}) for weight in (0, 0.25)]
        print(f"{method:<24} {ratios[0]:>10.3f} {ratios[1]:>10.3f}")
    print(f"\n{'switch':<24}" + "".join(f"{size:>11}" for size in SIZES) + "   step without it / with it")
    for switch, changes in SWITCHES.items():
        print(f"{switch:<24}" + "".join(f"{gain(*size, changes):>11.2f}" for size in SIZES.values()))


def training_step(
    method: str, side: int, overrides: Mapping
) -> tuple[Callable[[], None], TrainingState, tuple[torch.Tensor, ...]]:
    """A step on random views of a side, with the state that it changes and the views."""
    config = load_run("paper", "cifar10", method, 0, overrides)
    state = start(config, "none", N_IMAGES, torch.device("cpu"))
    size = config["optimiser"]["batch_size"]
    views = tuple(torch.randn(size, 3, side, side) for _ in range(config["views"]))
    part = Part(views, torch.randperm(N_IMAGES)[:size], torch.Generator())
    return lambda: train_step(state, state.method, [part], 0.01, 0.5), state, views


def step_against_bare_pass(method: str, overrides: Mapping) -> float:
    """Time of a whole step over that of the bare pass."""
    step, state, views = training_step(method, 32, overrides)
    backbone, n_keys = state.method.encoder.backbone, load_method(method)[0]["key_views"]

    def bare() -> None:
        for view in views[: len(views) - n_keys]:
            backbone(view).sum().backward()
        with torch.no_grad():
            for view in views[len(views) - n_keys :]:
                backbone(view)

    whole, alone = medians(step, bare)
    return whole / alone


def gain(side: int, network: Mapping, changes: Mapping) -> float:
    """Time of a step of NPID + CLD without a switch over that with it."""
    steps = [training_step("npid", side, {**network, **PLAIN, **extra})[0] for extra in (changes, {})]
    switched, plain = medians(*steps)
    return plain / switched


if __name__ == "__main__":
    on_one_core()
    main()
