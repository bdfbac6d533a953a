"""A training step of each method over the bare forward and backward pass of the same views, on one core.

``python benchmarks/bench_steps.py`` takes a minute. The bare pass is the backbone's alone: forward and
backward of the views that carry gradient, forward of those that do not. Above it are heads, losses,
clustering, memories and the optimiser; with BYOL the target's forward pass of both views, with InfoMin the
pass of the patches. The two sides of a ratio run in turns; the medians are compared.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from bench_learning import ENVIRONMENT, medians  # noqa: E402

N_IMAGES, SIZE = 4096, 32
#: Of the paper's network on small images, but for its depth: a block a stage keeps the benchmark short.
SETTINGS = {
    "backbone.blocks": [1, 1, 1, 1],
    "backbone.width": 64,
    "backbone.stem": "small_stride2",
    "head.hidden": 512,
    "queue.size": 4096,
    "optimiser.batch_size": 128,
    "cld.n_groups": 64,
}


def main() -> None:
    """Print a table of ratios."""
    from cld.methods import METHODS

    print(f"{'method':<12} {'alone':>8} {'with CLD':>9}   step / bare forward and backward")
    for method in METHODS:
        ratios = [step_against_bare_pass(method, weight) for weight in (0, 0.25)]
        print(f"{method:<12} {ratios[0]:>8.3f} {ratios[1]:>9.3f}")


def step_against_bare_pass(method: str, weight: float) -> float:
    """Time of a whole step over that of the bare pass."""
    import torch

    from cld.config import load_run
    from cld.training.loop import Part, start, train_step

    config = load_run("paper", "cifar10", method, 0, {**SETTINGS, "cld.weight": weight})
    state = start(config, "none", N_IMAGES, torch.device("cpu"))
    size = config["optimiser"]["batch_size"]
    views = tuple(torch.randn(size, 3, SIZE, SIZE) for _ in range(config["views"]))
    index = torch.randperm(N_IMAGES)[:size]
    backbone, n_keys = state.method.encoder.backbone, state.method.n_key_views

    def bare() -> None:
        for view in views[: len(views) - n_keys]:
            backbone(view).sum().backward()
        with torch.no_grad():
            for view in views[len(views) - n_keys :]:
                backbone(view)

    def step() -> None:
        train_step(state, state.method, [Part(views, index, torch.Generator())], 0.01, 0.5)

    whole, alone = medians(step, bare)
    return whole / alone


if __name__ == "__main__":
    if any(os.environ.get(key) != value for key, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})
    main()
