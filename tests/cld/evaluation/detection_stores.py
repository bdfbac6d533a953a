"""Stores of small pictures with objects: bright rectangles, whose colour is their class, on grey."""

from pathlib import Path

import numpy as np
from photos import encoded, write_photos

from cld.data import Objects

COLOURS = np.array([[230, 40, 40], [40, 210, 60], [50, 70, 240]])
CLASSES = ["red", "green", "blue"]


def pictures(n: int, seed: int) -> tuple[list[bytes], Objects]:
    """JPEGs of 40 to 56 pixels a side with one or two objects each; every tenth object is difficult."""
    rng = np.random.default_rng(seed)
    images, boxes, labels, counts = [], [], [], []
    for _ in range(n):
        height, width = rng.integers(40, 57, 2)
        pixels = rng.normal(110, 12, (height, width, 1)).repeat(3, axis=2)
        counts.append(rng.integers(1, 3))
        for part in range(counts[-1]):  # side by side: none hides another
            room = width // counts[-1]
            w, h = rng.integers(12, min(room, 28)), rng.integers(12, 28)
            left, top = part * room + rng.integers(0, room - w + 1), rng.integers(0, height - h + 1)
            label = rng.integers(3)
            pixels[top : top + h, left : left + w] = COLOURS[label]
            boxes.append([left, top, left + w, top + h])
            labels.append(label)
        images.append(encoded(pixels.clip(0, 255).astype(np.uint8)))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    difficult = (np.arange(len(labels)) % 10 == 9).astype(np.uint8)
    return images, Objects(
        np.array(boxes, np.float32), np.array(labels), offsets, difficult, np.zeros_like(difficult)
    )


def without_objects(n: int) -> Objects:
    """Of n images."""
    none = np.zeros(0, np.uint8)
    return Objects(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(n + 1, np.int64), none, none)


def write_pictures(path: Path, splits: dict[str, tuple[list[bytes], Objects | None]], **facts) -> Path:
    """Write images with their objects, split by split."""
    images = {name: written for name, (written, _) in splits.items()}
    objects = {name: annotated for name, (_, annotated) in splits.items() if annotated}
    return write_photos(path, images, objects, **{"dataset": "voc07", "classes": CLASSES} | facts)
