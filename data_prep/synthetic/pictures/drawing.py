"""Pictures of any size: one object before a background, or a scene of several.

A class decides only the outline, the pattern and the loose colours of its objects. Everything else varies
from picture to picture and says nothing of the class: pose, size, shade, light, background, clutter, noise.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from data_prep.synthetic.pictures.class_looks import OUTLINES, PATTERNS, Hsv, Look

SUPERSAMPLING = 2
FEWEST_PIXELS = 40
"""Of an object of a scene that counts as seen."""
TRIES = 12
"""Places tried for an object of a scene before it may hide another completely."""


@dataclass(frozen=True)
class Drawn:
    """An object of a scene.

    Attributes:
        label: index of its look.
        box: (left, top, right, bottom) of what is seen of it, in pixels; right and bottom are outside.
        visible: share of it within the picture that nothing hides.
        inside: share of it that lies within the picture.
    """

    label: int
    box: tuple[int, int, int, int]
    visible: float
    inside: float


def draw_picture(look: Look, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """One object before a background, now and then cut by the border: uint8 (height, width, 3)."""
    canvas = _background(width, height, rng)
    size = np.array(canvas.shape[1::-1])
    radius = min(size) * rng.uniform(0.38, 0.6)
    middle = size / 2 + rng.uniform(-0.35, 0.35, 2) * (size - radius)
    _paint(canvas, look, middle, radius, rng.uniform(-np.pi, np.pi), rng)
    return _photograph(canvas, rng)


def draw_scene(
    looks: Sequence[Look], labels: Sequence[int], width: int, height: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[Drawn]]:
    """A scene of one object for each of ``labels``, the later ones in front.

    Returns:
        uint8 (height, width, 3), and the objects of which at least FEWEST_PIXELS are seen.
    """
    canvas = _background(width, height, rng)
    size = np.array(canvas.shape[1::-1])
    largest = 0.42 if len(labels) == 1 else 0.3
    owner = np.full(canvas.shape[:2], -1)
    taken: list[tuple[np.ndarray, float]] = []
    areas = []
    for number, label in enumerate(labels):
        apart = rng.choice([0.85, 0.4], p=[0.7, 0.3])  # some stand before others
        for _ in range(TRIES):
            radius = min(size) * rng.uniform(0.13, largest)
            middle = rng.uniform(0.4 * radius, size - 0.4 * radius)
            if all(np.linalg.norm(middle - place) > apart * (radius + other) for place, other in taken):
                break
        taken.append((middle, radius))
        pixels, area = _paint(canvas, looks[label], middle, radius, rng.uniform(-0.6, 0.6), rng)
        owner[pixels] = number
        areas.append((area, len(pixels[0])))
    drawn = []
    for number, (label, (area, within)) in enumerate(zip(labels, areas, strict=True)):
        rows, columns = np.nonzero(owner == number)
        if len(rows) >= FEWEST_PIXELS * SUPERSAMPLING**2:
            corners = columns.min(), rows.min(), columns.max() + SUPERSAMPLING, rows.max() + SUPERSAMPLING
            left, top, right, bottom = (int(corner) // SUPERSAMPLING for corner in corners)
            drawn.append(Drawn(label, (left, top, right, bottom), len(rows) / within, min(within / area, 1)))
    return _photograph(canvas, rng), drawn


def _background(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Soft patches of two shades, and a few plain discs: float32 (H, W, 3), SUPERSAMPLING times too large."""
    size = width * SUPERSAMPLING, height * SUPERSAMPLING
    patches = Image.fromarray(rng.random(rng.integers(2, 8, 2), np.float32))
    mix = np.asarray(patches.resize(size, Image.Resampling.BICUBIC))[..., None]
    hue, saturation, value = rng.uniform(), rng.uniform(0.02, 0.25), rng.uniform(0.25, 0.9)
    first = _rgb((hue, saturation, value))
    second = _rgb((hue + rng.normal(0, 0.1), saturation, value + rng.choice([-0.2, 0.2])))
    canvas = first + mix * (second - first)
    for _ in range(rng.integers(0, 3)):
        colour = (rng.uniform(), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.95))
        radius = min(size) * rng.uniform(0.05, 0.13)
        _paint(canvas, Look("disc", "halves", (colour, colour)), rng.uniform(0, size), radius, 0, rng)
    return canvas


def _paint(
    canvas: np.ndarray, look: Look, middle: np.ndarray, radius: float, turn: float, rng: np.random.Generator
) -> tuple[tuple[np.ndarray, np.ndarray], float]:
    """Draw an object into ``canvas``, with its ``middle`` (x, y) and ``radius`` in pixels, turned clockwise.

    Returns:
        The rows and columns of its pixels, and its area in pixels, also of what lies beyond the canvas.
    """
    cos, sin = np.cos(turn), np.sin(turn)
    stretch = rng.uniform(0.82, 1.22)
    axes = radius * np.array([[cos, -sin], [sin, cos]]) * (stretch**0.5, stretch**-0.5)
    corners = OUTLINES[look.outline] @ axes.T + middle
    mask = Image.new("1", canvas.shape[1::-1])
    ImageDraw.Draw(mask).polygon([tuple(corner) for corner in corners.tolist()], fill=1)
    rows, columns = np.nonzero(np.asarray(mask))
    x, y = np.linalg.solve(axes, [columns - middle[0], rows - middle[1]])
    zoom, (right, down) = rng.uniform(0.88, 1.14), rng.uniform(-0.15, 0.15, 2)
    is_second = PATTERNS[look.pattern](zoom * x + right, zoom * y + down)
    shade = rng.normal(0, (0.03, 0.1, 0.07))
    first, second = (_rgb(np.add(colour, shade)) for colour in look.colours)
    light = 1 + 0.2 * (x * np.cos(shade[0]) + y)
    canvas[rows, columns] = np.where(is_second[:, None], second, first) * light[:, None]
    along, across = corners.T
    area = abs(along @ np.roll(across, 1) - across @ np.roll(along, 1)) / 2
    return (rows, columns), area


def _photograph(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a camera makes of ``canvas``: light from one side, noise, 8 bits, SUPERSAMPLING times smaller."""
    slope = rng.uniform(-0.3, 0.3)
    light = rng.uniform(0.65, 1.22) * np.linspace(1 - slope, 1 + slope, canvas.shape[1])[:, None]
    image = Image.fromarray(_bytes(canvas * light * rng.normal(1, 0.04, 3))).reduce(SUPERSAMPLING)
    pixels = np.asarray(image) / 255
    return _bytes(pixels + rng.uniform(0.008, 0.016) * rng.standard_normal(pixels.shape))


def _rgb(colour: Hsv | np.ndarray) -> np.ndarray:
    """Red, green and blue (3,); hues go around, saturation and value are limited to 0 to 1."""
    hue, saturation, value = colour
    return np.array(colorsys.hsv_to_rgb(hue % 1, *np.clip([saturation, value], 0, 1)), np.float32)


def _bytes(values: np.ndarray) -> np.ndarray:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
