"""Filtered texture look-up for many pixels at once: every surface's image at every scale in one array."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from data_prep.synthetic.kitchen.meshes import Surface

LEVELS = 6
"""Scales kept of each image: full, half, … 1/32."""


class TextureAtlas:
    """All images of a scene in linear light, each with its mip levels."""

    def __init__(self, surfaces: Sequence[Surface]):
        texels, self._starts, self._sizes = [], [], []
        start = 0
        for surface in surfaces:
            for level in range(LEVELS):
                image = _shrunk(surface.image, level)
                texels.append(image.reshape(-1, 3))
                self._starts.append(start)
                self._sizes.append((image.shape[1], image.shape[0]))
                start += len(texels[-1])
        self._texels = np.concatenate(texels)
        self._starts, self._sizes = np.array(self._starts, np.int32), np.array(self._sizes, np.int32)

    def sizes(self, surface_ids: np.ndarray) -> np.ndarray:
        """Width and height (·, 2) in texels of the full images of ``surface_ids``."""
        return self._sizes[surface_ids * LEVELS]

    def sample(self, surface_ids: np.ndarray, uvs: np.ndarray, texels_per_pixel: np.ndarray) -> np.ndarray:
        """Linear RGB float32 (P, 3) in 0..1 of P pixels: bilinear, at the level that suits a pixel's size."""
        levels = np.clip(np.round(np.log2(np.maximum(texels_per_pixel, 1e-6))), 0, LEVELS - 1).astype(int)
        images = surface_ids * LEVELS + levels
        sizes, starts = self._sizes[images], self._starts[images]
        place = (uvs % 1.0) * sizes - 0.5
        low = np.floor(place).astype(np.int32)
        share = (place - low).astype(np.float32)
        x0, y0 = (low % sizes).T
        x1, y1 = ((low + 1) % sizes).T
        rows0, rows1 = starts + y0 * sizes[:, 0], starts + y1 * sizes[:, 0]
        across, down = share[:, :1], share[:, 1:]
        upper = self._texels[rows0 + x0] * (1 - across) + self._texels[rows0 + x1] * across
        lower = self._texels[rows1 + x0] * (1 - across) + self._texels[rows1 + x1] * across
        return upper * (1 - down) + lower * down


def _shrunk(image: np.ndarray, level: int) -> np.ndarray:
    height, width = image.shape[:2]
    size = max(width >> level, 1), max(height >> level, 1)
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), np.float32)
    return (small / 255) ** 2.2
