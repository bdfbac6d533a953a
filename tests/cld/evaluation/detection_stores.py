"""Stores of small pictures with objects: bright rectangles, whose colour is their class, on grey."""

import hashlib
from pathlib import Path

import numpy as np
from photos import encoded

from cld.data import EncodedSplit, Objects, write_encoded_store

COLOURS = np.array([[230, 40, 40], [40, 210, 60], [50, 70, 240]])
FACTS = {"dataset": "voc07", "preset": "demo", "classes": ["red", "green", "blue"], "sources": {}}


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
    written = {}
    for name, (images, objects) in splits.items():
        part = path.with_suffix(f".{name}")
        part.write_bytes(b"".join(images))
        digests = np.array([list(hashlib.sha256(image).digest()) for image in images], dtype=np.uint8)
        lengths, labels = np.array([len(image) for image in images]), np.full(len(images), -1)
        written[name] = EncodedSplit([part], lengths, digests, labels, objects)
    write_encoded_store(path, written, config={}, **FACTS | facts)
    return path
