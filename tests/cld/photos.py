"""Stores of small JPEGs of many sizes."""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from cld.data import EncodedSplit, Objects, write_encoded_store

FACTS = {"dataset": "kitchen_hc", "preset": "demo", "classes": ["a", "b", "c"], "sources": {}, "config": {}}


def photo(height: int, width: int, rng: np.random.Generator, mode: str = "RGB") -> bytes:
    """A JPEG of two colours that run into each other, with some grain."""
    slope = np.linspace(0, 1, height)[:, None, None] * np.linspace(0.2, 1, width)[:, None]
    first, second = rng.uniform(20, 235, (2, 3))
    pixels = first + (second - first) * slope + rng.normal(0, 6, (height, width, 1))
    return encoded(pixels.clip(0, 255).astype(np.uint8), mode)


def encoded(pixels: np.ndarray, mode: str = "RGB") -> bytes:
    """Pixels uint8 (H, W, 3) as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", quality=95)
    return file.getvalue()


def photos(n: int, seed: int = 0, sides: tuple[int, int] = (24, 60)) -> list[bytes]:
    """JPEGs of sides from ``sides[0]`` to ``sides[1]``; the first is grey."""
    rng = np.random.default_rng(seed)
    return [photo(*rng.integers(*sides, 2, endpoint=True), rng, "RGB" if i else "L") for i in range(n)]


def encoded_split(part: Path, images: list[bytes], objects: Objects | None = None) -> EncodedSplit:
    """Write JPEGs to ``part`` and describe them as a split with labels 0, 1, 2, 0, …."""
    part.write_bytes(b"".join(images))
    digests = np.array([list(hashlib.sha256(image).digest()) for image in images], dtype=np.uint8)
    lengths = np.array([len(image) for image in images])
    return EncodedSplit([part], lengths, digests, np.arange(len(images)) % 3, objects)


def write_photos(
    path: Path, splits: dict[str, list[bytes]], objects: dict[str, Objects] | None = None, **facts
) -> Path:
    """Write JPEGs, and objects where there are some, split by split."""
    written = {
        name: encoded_split(path.with_suffix(f".{name}"), images, (objects or {}).get(name))
        for name, images in splits.items()
    }
    write_encoded_store(path, written, **FACTS | facts)
    for split in written.values():
        split.parts[0].unlink()
    return path
