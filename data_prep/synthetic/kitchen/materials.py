"""Counter, wall and floor materials: procedural images, one set a kitchen."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from data_prep.synthetic.kitchen.label_art import hsv

TILE_M = 0.6
"""Side in metres of the square that a material's image covers."""

TEXELS = 288


def _granite(rng: np.random.Generator) -> np.ndarray:
    base = np.array(hsv(rng.random(), 0.15, rng.uniform(0.25, 0.6)), float)
    speckle = _noise(rng, 96) * 60 + _noise(rng, 24) * 35
    return _image(base + speckle[..., None])


def _marble(rng: np.random.Generator) -> np.ndarray:
    base = np.array(hsv(rng.uniform(0.05, 0.2), 0.06, 0.9), float)
    veins = np.exp(-40 * np.abs(_noise(rng, 4) + 0.4 * _noise(rng, 12)) ** 1.2)
    return _image(base - veins[..., None] * 70 + _noise(rng, 8)[..., None] * 12)


def _planks(rng: np.random.Generator) -> np.ndarray:
    base = np.array(hsv(rng.uniform(0.05, 0.11), rng.uniform(0.4, 0.65), rng.uniform(0.4, 0.75)), float)
    rows = np.arange(TEXELS)
    boards = np.repeat(rng.uniform(0.8, 1.1, 6), TEXELS // 6)
    grain = _noise(rng, 48, along=3) * 22
    seams = (rows % (TEXELS // 6) < 2) * 40.0
    return _image(base * boards[:, None, None] + grain[..., None] - seams[:, None, None])


def _laminate(rng: np.random.Generator) -> np.ndarray:
    base = np.array(hsv(rng.random(), rng.uniform(0.1, 0.4), rng.uniform(0.5, 0.9)), float)
    return _image(base + _noise(rng, 6)[..., None] * 14)


def _paint(rng: np.random.Generator) -> np.ndarray:
    base = np.array(hsv(rng.random(), rng.uniform(0.1, 0.45), rng.uniform(0.55, 0.95)), float)
    return _image(base + _noise(rng, 4)[..., None] * 10 + _noise(rng, 96)[..., None] * 4)


def _tiles(rng: np.random.Generator, columns: int = 4, rows: int = 4, shift: bool = False) -> np.ndarray:
    hue, grout = rng.random(), np.array(hsv(0.1, 0.05, rng.uniform(0.5, 0.85)), float)
    height, width = TEXELS // rows, TEXELS // columns
    y, x = np.mgrid[:TEXELS, :TEXELS]
    row = y // height
    x = (x + (row % 2) * (width // 2) * shift) % TEXELS
    values = rng.uniform(0.75, 0.92) * rng.uniform(0.92, 1.04, (rows, columns))
    base = np.array(hsv(hue, rng.uniform(0.03, 0.5), 1.0), float)
    image = base * values[row, x // width][..., None]
    joint = (y % height < 3) | (x % width < 3)
    image[joint] = grout
    return _image(image + _noise(rng, 8)[..., None] * 6)


def _subway(rng: np.random.Generator) -> np.ndarray:
    return _tiles(rng, columns=3, rows=6, shift=True)


def _bricks(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:TEXELS, :TEXELS]
    row = y // 36
    x = (x + (row % 2) * 36) % TEXELS
    base = np.array(hsv(rng.uniform(0.01, 0.06), rng.uniform(0.4, 0.6), rng.uniform(0.45, 0.65)), float)
    image = base * rng.uniform(0.8, 1.15, (8, 4))[row, x // 72][..., None]
    image[(y % 36 < 4) | (x % 72 < 4)] = (190, 184, 172)
    return _image(image + _noise(rng, 64)[..., None] * 16)


def _noise(rng: np.random.Generator, cells: int, along: int | None = None) -> np.ndarray:
    """Smooth noise of unit scale: ``cells`` random values a side (``along`` fewer to the right)."""
    grid = rng.standard_normal((cells, along or cells)).astype(np.float32)
    grid = np.pad(grid, ((0, 1), (0, 1)), mode="wrap")
    return np.asarray(Image.fromarray(grid).resize((TEXELS, TEXELS), Image.Resampling.BICUBIC))


def _image(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


Material = Callable[[np.random.Generator], np.ndarray]
COUNTERS: tuple[Material, ...] = (_granite, _planks, _laminate, _marble, _tiles)
WALLS: tuple[Material, ...] = (_tiles, _paint, _subway, _bricks)
"""Each draws an image uint8 (TEXELS, TEXELS, 3)."""
