"""A training step with each switch of speed and precision over the step without it, on one core.

``python benchmarks/bench_switches.py`` takes some minutes, most of them in the compiler. Above 1: the switch
makes a step that much faster. The two sides of a ratio run in turns; the medians are compared.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from bench_learning import ENVIRONMENT, medians  # noqa: E402

PLAIN = {"speed.channels_last": False, "precision": "fp32"}
SWITCHES = {
    "channels_last": {"speed.channels_last": True},
    "channels_last, bf16": {"speed.channels_last": True, "precision": "bf16"},
    "channels_last, fp16": {"speed.channels_last": True, "precision": "fp16"},
    "channels_last, compile": {"speed.channels_last": True, "speed.compile": True},
}
STEM = {"backbone.stem": "small_stride2"}
#: Networks, the smaller ones of width 16: (preset, side of the views, changes).
NETWORKS = {
    "ResNet-10, 32 x 32": ("demo", 32, STEM),
    "ResNet-18, 32 x 32": ("paper", 32, {"optimiser.batch_size": 32, "cld.n_groups": 16}),
    "ResNet-10, 96 x 96": ("demo", 96, {**STEM, "optimiser.batch_size": 64}),
}


def main() -> None:
    """Print a table of ratios."""
    print(f"{'switch':<24}" + "".join(f"{name:>24}" for name in NETWORKS))
    for switch, changes in SWITCHES.items():
        print(f"{switch:<24}" + "".join(f"{gain(*network, changes):>24.2f}" for network in NETWORKS.values()))


def gain(preset: str, side: int, network: dict, changes: dict) -> float:
    """Time of a step of NPID + CLD without a switch over that with it."""
    from collections.abc import Callable

    import torch

    from cld.config import load_run
    from cld.training.loop import Part, start, train_step

    def build(extra: dict) -> Callable[[], None]:
        config = load_run(preset, "cifar10", "npid", 0, {"cld.n_groups": 32, **network, **PLAIN, **extra})
        state = start(config, "none", 4096, torch.device("cpu"))
        size = config["optimiser"]["batch_size"]
        views = tuple(torch.randn(size, 3, side, side) for _ in range(config["views"]))
        part = Part(views, torch.randperm(4096)[:size], torch.Generator())
        return lambda: train_step(state, state.method, [part], 0.01, 0.5)

    switched, plain = medians(build(changes), build({}))
    return plain / switched


if __name__ == "__main__":
    if any(os.environ.get(key) != value for key, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})
    main()
