"""Small stores of both kinds."""

import numpy as np
import pytest
from toy_stores import FACTS, encoded_split, jpegs

from cld.data import Split, write_encoded_store, write_store


@pytest.fixture
def array_store(tmp_path):
    """7 labelled, 4 unlabelled and 3 test images of 4 x 4."""
    rng = np.random.default_rng(0)

    def split(n, labels):
        return Split(rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8), labels)

    splits = {
        "train": split(7, np.arange(7) % 2),
        "unlabelled": split(4, np.full(4, -1)),
        "test": split(3, np.arange(3) % 2),
    }
    path = tmp_path / "arrays.h5"
    write_store(path, splits, **FACTS)
    return path


@pytest.fixture
def jpeg_store(tmp_path):
    """9 and 4 JPEGs with objects."""
    parts = tmp_path / "parts"
    parts.mkdir()
    path = tmp_path / "jpegs.h5"
    splits = {
        "train": encoded_split(parts, jpegs(9), with_objects=True),
        "test": encoded_split(parts, jpegs(4, seed=1), with_objects=True),
    }
    write_encoded_store(path, splits, **FACTS)
    return path
