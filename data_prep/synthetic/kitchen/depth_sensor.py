"""What a depth camera makes of exact depth: noise that grows with range and slant, holes, millimetres."""

import numpy as np
from scipy import ndimage

NEAR_M, FAR_M = 0.5, 4.5
"""Range of the Kinect v2."""

GRAZING = 0.12
"""No reading where the cosine between ray and surface normal is smaller."""

EDGE_STEP_M = 0.03
EDGE_LOSS = 0.6
"""Share of readings lost at depth steps of at least EDGE_STEP_M a pixel."""

BLIND_SHARE = 0.004
"""Share of the frame lost in small patches: dark and shiny spots."""


def sense(depth: np.ndarray, facing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Simulate the sensor, with noise from ``rng``.

    Args:
        depth: exact depth along the optical axis in metres (H, W), inf where there is nothing.
        facing: cosine between ray and surface normal (H, W), in 0..1.

    Returns:
        Millimetres, uint16 (H, W); 0 where there is no reading.
    """
    reading = np.where(np.isfinite(depth), depth, 0.0)
    spread = (0.0008 + 0.0016 * reading**2) / np.sqrt(np.maximum(facing, 0.1))
    noisy = reading + spread * rng.standard_normal(depth.shape, np.float32)
    lowest, highest = ndimage.minimum_filter(reading, 3), ndimage.maximum_filter(reading, 3)
    step = (highest - lowest > EDGE_STEP_M) & (facing > 2 * GRAZING)
    patches = ndimage.uniform_filter(rng.standard_normal(depth.shape, np.float32), 5)
    blind = patches > np.quantile(patches, 1 - BLIND_SHARE)
    lost = (noisy < NEAR_M) | (noisy > FAR_M) | (facing < GRAZING) | blind
    lost |= step & (rng.random(depth.shape, np.float32) < EDGE_LOSS)
    return np.where(lost, 0, np.round(noisy * 1000)).astype(np.uint16)
