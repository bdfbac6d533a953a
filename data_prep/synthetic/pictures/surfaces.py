"""Surface patterns: how much of an object's second colour shows at each point of it, 0 to 1."""

from collections.abc import Callable

import numpy as np

Surface = Callable[[np.ndarray, np.ndarray, float, np.random.Generator], np.ndarray]
"""Coordinates x, y in units of the object's radius, the size of a pixel in them, and what varies from one
object to the next; to shares of the second colour."""


def waves(x: np.ndarray, y: np.ndarray, frequency: float, rng: np.random.Generator, n: int = 6) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1 with about ``frequency`` waves a unit."""
    angles, phases = rng.uniform(0, 2 * np.pi, (2, n)).astype(np.float32)
    lengths = (2 * np.pi * frequency * rng.uniform(0.6, 1.4, n)).astype(np.float32)
    total = np.zeros_like(x)
    for angle, phase, length in zip(angles, phases, lengths, strict=True):
        total += np.sin(x * (length * np.cos(angle)) + y * (length * np.sin(angle)) + phase)
    return total * np.float32(np.sqrt(2 / n))


def edge(value: np.ndarray, width: float) -> np.ndarray:
    """A step from 0 to 1 where ``value`` passes 0, over ``width``: antialiasing."""
    return np.clip(value / width + np.float32(0.5), 0, 1)


def _bands(position: np.ndarray, period: float, pixel: float) -> np.ndarray:
    """Bands as wide as their gaps, across ``position``."""
    distance = abs((position / period) % 1 - np.float32(0.5)) - np.float32(0.25)
    return edge(distance * period, pixel)


def _period(mean: float, rng: np.random.Generator) -> float:
    return mean * rng.uniform(0.88, 1.14)


def _checks(x: np.ndarray, y: np.ndarray, pixel: float, rng: np.random.Generator) -> np.ndarray:
    period = _period(0.8, rng)
    across = _bands(x + rng.uniform(0, 1), period, pixel)
    down = _bands(y + rng.uniform(0, 1), period, pixel)
    return across + down - 2 * across * down


def _dots(x: np.ndarray, y: np.ndarray, pixel: float, rng: np.random.Generator) -> np.ndarray:
    period = _period(0.52, rng)
    rows = y / period + rng.uniform(0, 1)
    across = (x / period + np.float32(0.5) * (np.floor(rows) % 2)) % 1 - np.float32(0.5)
    return edge(np.float32(0.3) - np.hypot(across, rows % 1 - np.float32(0.5)), pixel / period)


def _marble(x: np.ndarray, y: np.ndarray, pixel: float, rng: np.random.Generator) -> np.ndarray:
    warped = x + y + np.float32(0.35) * waves(x, y, 0.7, rng)
    return np.float32(0.5) + np.float32(0.5) * np.sin(warped * np.float32(2 * np.pi / _period(0.9, rng)))


def _zigzag(x: np.ndarray, y: np.ndarray, pixel: float, rng: np.random.Generator) -> np.ndarray:
    period = _period(0.62, rng)
    fold = abs((x / period + rng.uniform(0, 1)) % 1 - np.float32(0.5)) * period
    return _bands(y + fold + rng.uniform(0, 1), period * 0.8, pixel)


def _mesh(x: np.ndarray, y: np.ndarray, pixel: float, rng: np.random.Generator) -> np.ndarray:
    period, width = _period(0.48, rng), 0.11
    turned = ((x + y) * np.float32(0.7071), (x - y) * np.float32(0.7071))
    lines = [
        edge(width / 2 - abs((along / period + rng.uniform(0, 1)) % 1 - np.float32(0.5)) * period, pixel)
        for along in turned
    ]
    return np.maximum(*lines)


def _spokes(x: np.ndarray, y: np.ndarray, pixel: float, rng: np.random.Generator) -> np.ndarray:
    n = rng.integers(5, 8)
    turn = np.arctan2(y, x) * np.float32(n) + rng.uniform(0, 2 * np.pi)
    return edge(np.sin(turn) * np.hypot(x, y) / np.float32(n), pixel)


def _halves(x: np.ndarray, y: np.ndarray, pixel: float, rng: np.random.Generator) -> np.ndarray:
    return edge(x + rng.uniform(-0.15, 0.15) + np.float32(0.1) * waves(x, y, 0.8, rng, 3), pixel)


def _blotches(x: np.ndarray, y: np.ndarray, pixel: float, rng: np.random.Generator) -> np.ndarray:
    return edge(waves(x, y, 1.2, rng, 10) - np.float32(0.3), 6 * pixel)


SURFACES: dict[str, Surface] = {
    "stripes": lambda x, y, pixel, rng: _bands(y + rng.uniform(0, 1), _period(0.5, rng), pixel),
    "checks": _checks,
    "dots": _dots,
    "rings": lambda x, y, pixel, rng: _bands(np.hypot(x, y), _period(0.5, rng), pixel),
    "marble": _marble,
    "zigzag": _zigzag,
    "mesh": _mesh,
    "spokes": _spokes,
    "halves": _halves,
    "blotches": _blotches,
}
"""The patterns of classes, by name."""
