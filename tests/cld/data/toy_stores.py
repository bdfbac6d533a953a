"""What small stores are made of."""

import hashlib
import io
import itertools

import numpy as np
from PIL import Image

from cld.data import EncodedSplit, Objects

FACTS = {
    "dataset": "d",
    "preset": "demo",
    "classes": ["a", "b"],
    "sources": {"root": "r"},
    "config": {"image_size": 4},
}


def jpegs(n: int, seed: int = 0) -> list[bytes]:
    """JPEGs of many sizes; the first is grey."""
    rng = np.random.default_rng(seed)
    encoded = []
    for i in range(n):
        pixels = rng.integers(0, 256, (rng.integers(8, 60), rng.integers(8, 60), 3), dtype=np.uint8)
        image = Image.fromarray(pixels).convert("L" if i == 0 else "RGB")
        file = io.BytesIO()
        image.save(file, "JPEG", quality=95)
        encoded.append(file.getvalue())
    return encoded


def objects(n: int) -> Objects:
    """Image i has i % 3 objects."""
    counts = np.arange(n) % 3
    total = int(counts.sum())
    boxes = np.arange(4 * total, dtype=np.float32).reshape(total, 4)
    flags = np.arange(total, dtype=np.uint8) % 2
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Objects(boxes, np.arange(total) % 2, offsets, flags, 1 - flags)


def digests_of(images: list[bytes]) -> np.ndarray:
    """SHA-256 of each image, uint8 (N, 32)."""
    return np.array([list(hashlib.sha256(image).digest()) for image in images], dtype=np.uint8)


def encoded_split(folder, images, labels=None, with_objects=False, n_parts=2) -> EncodedSplit:
    """Write the parts of a split and describe it."""
    cuts = np.linspace(0, len(images), n_parts + 1).astype(int)
    parts = []
    for start, stop in itertools.pairwise(cuts):
        parts.append(folder / f"{len(list(folder.iterdir()))}.part")
        parts[-1].write_bytes(b"".join(images[start:stop]))
    labels = np.arange(len(images)) % 2 if labels is None else labels
    lengths = np.array([len(image) for image in images])
    return EncodedSplit(
        parts, lengths, digests_of(images), labels, objects(len(images)) if with_objects else None
    )
