"""What a class looks like: an outline, a pattern and two loose colours, drawn from (seed, class)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_prep.synthetic.pictures.random_numbers import Stream, generator

Hsv = tuple[float, float, float]
"""Hue, saturation, value, each 0 to 1."""

_TURN = np.linspace(0, 2 * np.pi, 90, endpoint=False)


def _polar(radius: np.ndarray | float, angle: np.ndarray = _TURN) -> np.ndarray:
    """Corners (N, 2) at ``radius`` from the middle; angles are clockwise from the top."""
    return np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1)


def _tenths(*numbers: int) -> np.ndarray:
    """Corners (N, 2) given as x, y, x, y, …, in tenths."""
    return np.reshape(numbers, (-1, 2)) / 10


OUTLINES = {
    "arrow": _tenths(0, -10, 8, -1, 3, -1, 3, 9, -3, 9, -3, -1, -8, -1),
    "bar": _tenths(-10, -4, 10, -4, 10, 4, -10, 4),
    "bolt": _tenths(3, -10, -6, 2, 0, 2, -3, 10, 7, -3, 1, -3),
    "clover": _polar(0.62 + 0.34 * np.cos(3 * _TURN)),
    "crescent": np.concatenate(
        [_polar(0.95, np.linspace(2.4, 7.05, 30)), np.add(_polar(0.75, np.linspace(6.7, 2.7, 30)), [0.35, 0])]
    ),
    "cross": _tenths(
        -3, -10, 3, -10, 3, -3, 10, -3, 10, 3, 3, 3, 3, 10, -3, 10, -3, 3, -10, 3, -10, -3, -3, -3
    ),
    "disc": _polar(0.85),
    "drop": np.stack([0.75 * np.sin(_TURN) * np.sin(_TURN / 2), -np.cos(_TURN)], axis=1),
    "ell": _tenths(-7, -9, -1, -9, -1, 3, 8, 3, 8, 9, -7, 9),
    "flower": _polar(0.75 + 0.22 * np.cos(7 * _TURN)),
    "hourglass": _tenths(-8, -9, 8, -9, 2, 0, 8, 9, -8, 9, -2, 0),
    "leaf": np.stack([0.55 * np.sin(_TURN), 1 - 2 * abs(_TURN / np.pi - 1)], axis=1),
    "peanut": _polar(0.66 + 0.3 * np.cos(2 * _TURN)),
    "square": _tenths(-7, -7, 7, -7, 7, 7, -7, 7),
    "star": _polar(np.tile([1, 0.42], 5), np.arange(10) * np.pi / 5),
    "sun": _polar(np.tile([1, 0.7], 12), np.arange(24) * np.pi / 12),
    "tee": _tenths(-8, -9, 8, -9, 8, -3, 3, -3, 3, 9, -3, 9, -3, -3, -8, -3),
    "tree": _tenths(0, -10, 8, 5, 2, 5, 2, 10, -2, 10, -2, 5, -8, 5),
    "triangle": _tenths(0, -10, 9, 6, -9, 6),
    "zed": _tenths(-8, -8, 8, -8, 8, -4, 0, 4, 8, 4, 8, 8, -8, 8, -8, 4, 0, -4, -8, -4),
}
"""Corners (N, 2) of what classes are the shapes of: x to the right, y downwards, about 1 from the middle."""

PATTERNS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "checks": lambda x, y: np.sin(8 * x) * np.sin(8 * y) > 0,
    "dots": lambda x, y: np.cos(11 * x) + np.cos(11 * y) > 0.6,
    "halves": lambda x, y: x > 0,
    "rings": lambda x, y: np.sin(12 * np.hypot(x, y)) > 0,
    "spokes": lambda x, y: np.sin(6 * np.arctan2(y, x)) > 0,
    "stripes": lambda x, y: np.sin(12 * y) > 0,
    "zigzag": lambda x, y: np.sin(12 * y + 3 * np.arcsin(np.sin(8 * x))) > 0,
}
"""Where an object shows its second colour, by the coordinates of :data:`OUTLINES`."""


@dataclass(frozen=True)
class Look:
    """A class as it is drawn: its outline and pattern by name, and the two colours of the pattern."""

    outline: str
    pattern: str
    colours: tuple[Hsv, Hsv]

    @property
    def name(self) -> str:
        """Outline and pattern, such as ``disc_stripes``."""
        return f"{self.outline}_{self.pattern}"


def class_looks(n_classes: int, seed: int, per_outline: int = 1) -> tuple[Look, ...]:
    """The looks of ``n_classes`` classes, all different: at most 7 times 20.

    ``per_outline`` neighbours share an outline. The first classes look the same however many follow.
    """
    order = generator(seed, Stream.ORDER)
    outlines, patterns = order.permutation(list(OUTLINES)), order.permutation(list(PATTERNS))
    looks = []
    for label in range(n_classes):
        shape, variant = divmod(label, per_outline)
        # a Latin square: neither outline nor pattern alone identifies the class
        pattern = patterns[(shape + 3 * variant) % len(patterns)]
        looks.append(Look(str(outlines[shape]), str(pattern), _colours(seed, label)))
    return tuple(looks)


def _colours(seed: int, label: int) -> tuple[Hsv, Hsv]:
    """A dark and a light colour of one or two hues."""
    rng = generator(seed, Stream.PALETTE, label)
    hue = rng.uniform()
    dark = (hue, rng.uniform(0.55, 0.95), rng.uniform(0.25, 0.5))
    light = (hue + rng.choice([0.0, 0.12, 0.35, 0.5]), rng.uniform(0.15, 0.8), rng.uniform(0.8, 1.0))
    return dark, light
