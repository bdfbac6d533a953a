"""Silhouettes as signed distances: negative inside, in units of the object's radius, y downwards."""

from collections.abc import Callable

import numpy as np

Silhouette = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Coordinates x, y (any shape) to distances of the same shape; exact near the outline, a bound elsewhere."""


def _circle(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    return np.hypot(x, y) - radius


def _box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    across, down = abs(x) - half_width, abs(y) - half_height
    return np.hypot(np.maximum(across, 0), np.maximum(down, 0)) + np.minimum(np.maximum(across, down), 0)


def _capsule(x: np.ndarray, y: np.ndarray, half_length: float, radius: float) -> np.ndarray:
    return np.hypot(np.maximum(abs(x) - half_length, 0), y) - radius


def _polygon(x: np.ndarray, y: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Signed distance to a simple polygon with ``corners`` (N, 2)."""
    squared = np.full(x.shape, np.inf, x.dtype)
    inside = np.zeros(x.shape, bool)
    corners = corners.astype(x.dtype)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
        squared = np.minimum(squared, (px - along * ex) ** 2 + (py - along * ey) ** 2)
        if ay != by:
            inside ^= ((y >= ay) != (y >= by)) & (px < ex * py / ey)
    distance = np.sqrt(squared)
    return np.where(inside, -distance, distance)


def _regular(n_corners: int, inner: float | None = None) -> np.ndarray:
    """Corners of a regular polygon, one at the top; with ``inner``, of a star with that inner radius."""
    n = n_corners if inner is None else 2 * n_corners
    angles = 2 * np.pi * np.arange(n) / n
    radii = np.ones(n) if inner is None else np.where(np.arange(n) % 2, inner, 1)
    return np.stack([radii * np.sin(angles), -radii * np.cos(angles)], axis=1)


def _crescent() -> np.ndarray:
    """Corners of a disc less a smaller disc to its right, from one horn around the back to the other."""
    outer, inner = np.radians(np.linspace(52.1, 307.9, 16)), np.radians(np.linspace(272.6, 87.4, 14))[1:-1]
    back = np.stack([0.95 * np.cos(outer) - 0.15, 0.95 * np.sin(outer)], axis=1)
    front = np.stack([0.75 * np.cos(inner) + 0.4, 0.75 * np.sin(inner)], axis=1)
    return np.concatenate([back, front])


def _of_corners(corners: np.ndarray) -> Silhouette:
    return lambda x, y: _polygon(x, y, corners)


def _petals(n: int, mean: float, reach: float) -> Silhouette:
    gentler = np.float32(1 / np.hypot(1, n * reach * 0.7))

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        # divided by the outline's slope, so that the edge is about equally sharp all around
        return (np.hypot(x, y) - mean - reach * np.cos(n * np.arctan2(x, -y))) * gentler

    return distance


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    lobes = _circle(abs(x) - 0.42, y + 0.3, 0.5)
    point = _polygon(x, y, np.array([[-0.83, 0.0], [0.0, -0.25], [0.83, 0.0], [0.0, 0.95]]))
    return np.minimum(lobes, point)


def _drop(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    tip = _polygon(x, y, np.array([[-0.58, 0.2], [0.0, -1.05], [0.58, 0.2]]))
    return np.minimum(_circle(x, y - 0.35, 0.62), tip)


def _horseshoe(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    arch = np.maximum(abs(np.hypot(x, y + 0.15) - 0.65) - 0.24, y + 0.15)
    return np.minimum(arch, _box(abs(x) - 0.65, y - 0.35, 0.24, 0.52))


def _fish(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    body = np.maximum(_circle(x - 0.2, y - 0.5, 0.95), _circle(x - 0.2, y + 0.5, 0.95))
    tail = _polygon(x, y, np.array([[-0.35, 0.0], [-1.0, -0.55], [-0.85, 0.0], [-1.0, 0.55]]))
    return np.minimum(body, tail)


def _cloud(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    puffs = np.minimum(_circle(abs(x) - 0.58, y - 0.2, 0.42), _circle(x + 0.1, y + 0.15, 0.58))
    return np.minimum(puffs, _box(x, y - 0.42, 0.58, 0.2))


SILHOUETTES: dict[str, Silhouette] = {
    "disc": lambda x, y: _circle(x, y, 0.85),
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.7) - 0.26,
    "square": lambda x, y: _box(x, y, 0.75, 0.75),
    "bar": lambda x, y: _capsule(x, y, 0.65, 0.4),
    "triangle": _of_corners(_regular(3) + np.array([0, 0.15])),
    "star": _of_corners(_regular(5, inner=0.45)),
    "cross": lambda x, y: np.minimum(_box(x, y, 1.0, 0.33), _box(x, y, 0.33, 1.0)),
    "heart": _heart,
    "crescent": _of_corners(_crescent()),
    "clover": _petals(3, 0.62, 0.34),
    "flower": _petals(7, 0.72, 0.2),
    "drop": _drop,
    "leaf": lambda x, y: np.maximum(_circle(x, y - 0.65, 1.2), _circle(x, y + 0.65, 1.2)),
    "horseshoe": _horseshoe,
    "dumbbell": lambda x, y: np.minimum(_circle(abs(x) - 0.65, y, 0.4), _box(x, y, 0.6, 0.17)),
    "fish": _fish,
    "cloud": _cloud,
    "tee": lambda x, y: np.minimum(_box(x, y + 0.6, 0.9, 0.28), _box(x, y - 0.1, 0.28, 0.9)),
    "arrow": _of_corners(
        np.array(
            [[0, -1], [0.8, -0.1], [0.32, -0.1], [0.32, 0.95], [-0.32, 0.95], [-0.32, -0.1], [-0.8, -0.1]]
        )
    ),
    "bolt": _of_corners(
        np.array([[0.3, -1], [-0.6, 0.2], [-0.05, 0.2], [-0.3, 1], [0.65, -0.3], [0.1, -0.3]])
    ),
}
"""The outlines of classes, by name."""


def pebble(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A small thing of no class."""
    return _capsule(x, y, 0.25, 0.65)


def twig(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A long thin thing of no class."""
    return _capsule(x, y, 1.2, 0.16)
