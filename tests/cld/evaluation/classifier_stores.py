"""Stores that a classifier can learn, and checkpoints that were never trained."""

from pathlib import Path

import numpy as np
import torch
from photos import encoded, write_photos

from cld.data import Split, write_store
from cld.methods.encoder import build_encoder
from cld.training.checkpoint import save_checkpoint

FACTS = {"dataset": "kitchen_hc", "preset": "demo", "sources": {}, "config": {}}
COLOURS = np.array([[90, 125, 125], [125, 90, 125], [125, 125, 90]])


def coloured(labels: np.ndarray, seed: int = 0, noise: float = 40) -> np.ndarray:
    """Noise around a colour for each class, uint8 (N, 8, 8, 3)."""
    rng = np.random.default_rng(seed)
    colours = COLOURS[labels][:, None, None]
    return (colours + rng.normal(0, noise, (len(labels), 8, 8, 3))).clip(0, 255).astype(np.uint8)


def write_labelled(path: Path, noise: float = 40, classes: str = "abc", **labels) -> Path:
    """A store of :func:`coloured` images, by split; -1 where an image has no label."""
    splits = {
        name: Split(coloured(np.array(values) % 3, seed, noise), np.array(values))
        for seed, (name, values) in enumerate(labels.items())
    }
    write_store(path, splits, classes=list(classes), **FACTS)
    return path


def write_colours(path: Path, train: tuple[int, ...], test: tuple[int, ...], noise: float = 40) -> Path:
    """A store with so many images of each of three classes."""
    return write_labelled(path, noise, train=np.repeat([0, 1, 2], train), test=np.repeat([0, 1, 2], test))


def plain_photos(n: int, seed: int = 0) -> list[bytes]:
    """JPEGs of many sizes in one colour each; the i-th one's class is i % 3."""
    rng = np.random.default_rng(seed)
    colours = (COLOURS[np.arange(n) % 3] + rng.integers(-15, 16, (n, 3))).astype(np.uint8)
    return [encoded(np.tile(colour, (*rng.integers(20, 50, 2), 1))) for colour in colours]


def write_plain_photos(path: Path, n_train: int, n_test: int) -> Path:
    """A store of :func:`plain_photos`."""
    return write_photos(path, {"train": plain_photos(n_train), "test": plain_photos(n_test, seed=1)})


def write_checkpoint(path: Path, config: dict) -> Path:
    """A run's encoder before its first step."""
    torch.manual_seed(config["seed"])
    save_checkpoint(path, {"config": config, "encoder": build_encoder(config).state_dict()})
    return path
