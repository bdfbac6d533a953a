"""A run so small that it trains in a second, and a store to train it on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cld.config import load_run
from cld.data import Split, write_store

# Networks so small gain nothing from threads, which wait for each other beside other work.
torch.set_num_threads(1)

TINY = {
    "backbone.blocks": [1, 1, 1, 1],
    "backbone.width": 4,
    "backbone.stem": "small",
    "image_size": "auto",
    "workers": 2,
    "head.dim": 8,
    "head.hidden": 16,
    "queue.size": 16,
    "queue.momentum": 0.9,
    "cld.weight": 0.5,
    "cld.n_groups": 3,
    "optimiser.batch_size": 8,
    "optimiser.lr": 0.03,
    "optimiser.epochs": 3,
    "optimiser.warmup_epochs": 1,
    "checkpoint_every_s": 0,
}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """More threads would wait for each other on tensors this small, and add up in another order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_run() -> Callable[..., dict]:
    """``tiny_run(method, {key: value}, seed)``: a resolved configuration."""

    def resolve(method: str = "npid", overrides: dict | None = None, seed: int = 0) -> dict:
        return load_run("demo", "kitchen_hc", method, seed, {**TINY, **(overrides or {})})

    return resolve


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory) -> Path:
    """36 training images of 8 x 8: four batches of 8 and an incomplete one."""
    return write_noise(tmp_path_factory.mktemp("store") / "store.h5", n_train=36, seed=0)


@pytest.fixture(scope="session")
def other_store(tmp_path_factory) -> Path:
    """As many images with other contents."""
    return write_noise(tmp_path_factory.mktemp("store") / "other.h5", n_train=36, seed=1)


def write_noise(path: Path, n_train: int, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    splits = {
        name: Split(rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8), rng.integers(0, 3, n))
        for name, n in (("train", n_train), ("test", 5))
    }
    write_store(
        path, splits, dataset="kitchen_hc", preset="demo", classes=["a", "b", "c"], sources={}, config={}
    )
    return path
