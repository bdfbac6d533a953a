"""Small stores of both kinds."""

import numpy as np
import pytest
from photos import FACTS, photos, write_photos

from cld.data import Objects, Split, write_store


@pytest.fixture
def splits():
    """7 labelled, 4 unlabelled and 3 test images of 4 x 4."""
    rng = np.random.default_rng(0)
    labels = {"train": np.arange(7) % 2, "unlabelled": np.full(4, -1), "test": np.arange(3) % 2}
    return {
        name: Split(rng.integers(0, 256, (len(values), 4, 4, 3), dtype=np.uint8), values)
        for name, values in labels.items()
    }


@pytest.fixture
def array_store(tmp_path, splits):
    write_store(tmp_path / "arrays.h5", splits, **FACTS)
    return tmp_path / "arrays.h5"


@pytest.fixture
def objects():
    """Of nine images; image i has i % 3 objects."""
    counts = np.arange(9) % 3
    total = int(counts.sum())
    boxes = np.arange(4 * total, dtype=np.float32).reshape(total, 4)
    flags = np.arange(total, dtype=np.uint8) % 2
    return Objects(boxes, np.arange(total) % 2, np.concatenate([[0], np.cumsum(counts)]), flags, 1 - flags)


@pytest.fixture
def jpeg_store(tmp_path, objects):
    """9 JPEGs with objects, and 4 without."""
    images = {"train": photos(9), "test": photos(4, seed=1)}
    return write_photos(tmp_path / "jpegs.h5", images, {"train": objects})
