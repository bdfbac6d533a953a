from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# The same examples each time and no time limit per example: a busy machine fails no test.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def golden() -> dict:
    """Outputs of the authors' implementation (tests/golden/README.md): tensors, and plain numbers."""
    import torch  # imported here: most tests need no torch

    with np.load(Path(__file__).parent / "golden" / "golden.npz") as arrays:
        return {
            name: torch.from_numpy(array) if array.ndim else array.item() for name, array in arrays.items()
        }
