"""Pictures of any size: one object before a background, or a scene of several, with what a camera adds.

A class decides only the silhouette, the surface and the palette of its objects. Everything else varies from
picture to picture and says nothing of the class: pose, size, hue within the palette, light, background,
clutter, blur and noise.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from data_prep.synthetic.pictures.class_looks import Hsv, Look
from data_prep.synthetic.pictures.silhouettes import SILHOUETTES, Silhouette, pebble, twig
from data_prep.synthetic.pictures.surfaces import SURFACES, edge, waves

SMALL = 64
"""Pictures with a side below this are drawn twice as large: their surfaces are too fine to draw directly."""
TRIES = 12
"""Places tried for an object of a scene before it may hide another completely."""


@dataclass(frozen=True)
class Pose:
    """Where an object lies: its middle and radius in pixels, its turn in radians, its width to height."""

    x: float
    y: float
    radius: float
    angle: float
    stretch: float


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
    """One object before a background: uint8 (height, width, 3)."""
    scale = 2 if min(width, height) < SMALL else 1
    canvas = _background(width * scale, height * scale, rng)
    _scatter(canvas, rng)
    _paint(canvas, look, _main_pose(width * scale, height * scale, rng), rng)
    return _developed(canvas, scale, rng)


def draw_scene(
    looks: Sequence[Look], labels: Sequence[int], width: int, height: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[Drawn]]:
    """A scene of one object for each of ``labels``, the later ones in front.

    Returns:
        uint8 (height, width, 3), and the objects of which at least a few pixels are seen.
    """
    canvas = _background(width, height, rng)
    _scatter(canvas, rng)
    owner = np.full((height, width), -1)
    poses: list[Pose] = []
    areas = []
    for number, label in enumerate(labels):
        poses.append(_free_pose(poses, width, height, len(labels), rng))
        window, coverage, area = _paint(canvas, looks[label], poses[-1], rng)
        areas.append((area, int((coverage > 0.5).sum())))
        owner[window][coverage > 0.5] = number
    drawn = []
    for number, (label, (area, within)) in enumerate(zip(labels, areas, strict=True)):
        rows, columns = np.nonzero(owner == number)
        if len(rows) >= 40:
            box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
            drawn.append(Drawn(label, box, len(rows) / within, within / area))
    return _developed(canvas, 1, rng), drawn


def _main_pose(width: int, height: int, rng: np.random.Generator) -> Pose:
    """Somewhere near the middle, now and then cut by the border."""
    side = min(width, height)
    radius = side * rng.uniform(0.38, 0.6)
    x = width / 2 + rng.uniform(-0.5, 0.5) * (width - radius)
    y = height / 2 + rng.uniform(-0.5, 0.5) * (height - radius)
    return Pose(x, y, radius, rng.uniform(-np.pi, np.pi), rng.uniform(0.82, 1.22))


def _free_pose(
    taken: Sequence[Pose], width: int, height: int, n_objects: int, rng: np.random.Generator
) -> Pose:
    """Anywhere in the picture, now and then before another object."""
    side = min(width, height)
    apart = 0.85 if rng.uniform() < 0.7 else 0.4  # some stand before others
    for _ in range(TRIES):
        radius = side * rng.uniform(0.13, 0.42 if n_objects == 1 else 0.34 if n_objects == 2 else 0.27)
        pose = Pose(
            rng.uniform(0.4 * radius, width - 0.4 * radius),
            rng.uniform(0.4 * radius, height - 0.4 * radius),
            radius,
            rng.uniform(-0.6, 0.6),
            rng.uniform(0.82, 1.22),
        )
        if all(np.hypot(pose.x - o.x, pose.y - o.y) > apart * (radius + o.radius) for o in taken):
            break
    return pose


def _background(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A ground of two shades of any colour, float32 (height, width, 3)."""
    x, y = _grid(width, height)
    x, y = x / min(width, height), y / min(width, height)
    hue, saturation, value = rng.uniform(), rng.uniform(0.02, 0.25), rng.uniform(0.25, 0.9)
    first = (hue, saturation, value)
    second = (
        hue + rng.normal(0, 0.1),
        saturation * rng.uniform(0.5, 1.3),
        value + rng.choice([-1, 1]) * 0.15,
    )
    kind = rng.integers(5)
    if kind == 0:  # hazy
        mix = 0.5 + 0.35 * waves(x, y, 0.8, rng)
    elif kind == 1:  # ground and sky
        mix = edge(y - rng.uniform(0.3, 0.7) - 0.03 * waves(x, y, 1.2, rng), 0.04)
    elif kind == 2:  # patches
        mix = edge(waves(x, y, rng.uniform(1, 3), rng), 0.3)
    elif kind == 3:  # planks
        angle, n = rng.uniform(0, np.pi), rng.uniform(3, 8)
        mix = 0.5 + 0.5 * np.sin(2 * np.pi * n * (x * np.cos(angle) + y * np.sin(angle)))
    else:  # grain
        mix = 0.5 + 0.4 * waves(x, y, rng.uniform(4, 9), rng, 8)
    canvas = _mixed(np.clip(mix.astype(np.float32), 0, 1), first, second)
    canvas *= (1 + np.float32(rng.uniform(0.01, 0.05)) * waves(x, y, rng.uniform(2, 7), rng))[..., None]
    return canvas


def _scatter(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Add a few small plain objects of no class."""
    height, width = canvas.shape[:2]
    for _ in range(rng.integers(0, 3)):
        colour = (rng.uniform(), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.95))
        pose = Pose(
            rng.uniform(0, width),
            rng.uniform(0, height),
            min(width, height) * rng.uniform(0.05, 0.13),
            rng.uniform(0, np.pi),
            1.0,
        )
        _paint_silhouette(canvas, (pebble, twig)[rng.integers(2)], None, (colour, colour), pose, rng)


def _paint(
    canvas: np.ndarray, look: Look, pose: Pose, rng: np.random.Generator
) -> tuple[tuple[slice, slice], np.ndarray, int]:
    """Draw an object of a class; see :func:`_paint_silhouette`."""
    turn = rng.normal(0, 0.03)
    first, second = (
        (
            hue + turn + rng.normal(0, 0.02),
            np.clip(saturation + rng.normal(0, 0.1), 0, 1),
            np.clip(value + rng.normal(0, 0.07), 0, 1),
        )
        for hue, saturation, value in look.colours
    )
    return _paint_silhouette(canvas, SILHOUETTES[look.silhouette], look.surface, (first, second), pose, rng)


def _paint_silhouette(
    canvas: np.ndarray,
    silhouette: Silhouette,
    surface: str | None,
    colours: tuple[Hsv, Hsv],
    pose: Pose,
    rng: np.random.Generator,
) -> tuple[tuple[slice, slice], np.ndarray, int]:
    """Draw a shaded object with its shadow, into ``canvas``.

    Returns:
        The window of the canvas it lies in, its coverage of that window's pixels, 0 to 1, and its whole area
        in pixels, also of what lies beyond the canvas.
    """
    height, width = canvas.shape[:2]
    reach = pose.radius * 1.8  # a twig and its shadow
    left, top = int(pose.x - reach), int(pose.y - reach)
    x, y = _grid(int(2 * reach) + 2, int(2 * reach) + 2)
    x, y = _object_coordinates(x + (left - pose.x), y + (top - pose.y), pose)
    seen = (
        slice(max(-top, 0), max(min(height - top, len(y)), 0)),
        slice(max(-left, 0), max(min(width - left, x.shape[1]), 0)),
    )
    window = (
        slice(max(top, 0), max(min(height, top + len(y)), 0)),
        slice(max(left, 0), max(min(width, left + x.shape[1]), 0)),
    )
    pixel = 1 / pose.radius
    distance = silhouette(x, y)
    area = int((edge(-distance, pixel) > 0.5).sum())
    below = np.roll(distance, max(int(0.12 * pose.radius), 1), axis=0)[seen]
    x, y, distance = x[seen], y[seen], distance[seen]
    coverage = edge(-distance, pixel)
    # a soft shadow below, as of a lamp above
    canvas[window] *= 1 - np.float32(0.35) * np.clip(1 - (below + 0.05) / 0.25, 0, 1)[..., None]
    mix = SURFACES[surface](x, y, pixel, rng) if surface else np.zeros_like(x)
    painted = _mixed(mix.astype(np.float32), *colours)
    light = rng.uniform(0, 2 * np.pi)
    slope = np.float32(0.16) * (x * np.float32(np.cos(light)) + y * np.float32(np.sin(light)))
    rim = np.float32(0.55) + np.float32(0.45) * np.clip(-distance / 0.14, 0, 1)
    painted *= ((1 + slope) * rim)[..., None]
    canvas[window] += coverage[..., None] * (painted - canvas[window])
    return window, coverage, area


def _object_coordinates(x: np.ndarray, y: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Offsets from a pose's middle in pixels, as coordinates of the object."""
    cos, sin = np.float32(np.cos(pose.angle)), np.float32(np.sin(pose.angle))
    across, down = x * cos + y * sin, y * cos - x * sin
    root = np.sqrt(pose.stretch)
    return across / np.float32(pose.radius * root), down / np.float32(pose.radius / root)


def _developed(canvas: np.ndarray, scale: int, rng: np.random.Generator) -> np.ndarray:
    """What a camera makes of ``canvas``, which is ``scale`` times too large: light, blur, noise, 8 bits."""
    height, width = canvas.shape[:2]
    x, y = _grid(width, height)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.6)
    ramp = (x / width - 0.5) * np.cos(angle) + (y / height - 0.5) * np.sin(angle)
    light = rng.uniform(0.65, 1.22) * (1 + strength * ramp)
    canvas = canvas * light[..., None].astype(np.float32) * rng.normal(1, 0.04, 3).astype(np.float32)
    image = Image.fromarray(_bytes(canvas))
    if scale > 1:
        image = image.reduce(scale)
    side = min(image.size)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.006) * side))
    noise = rng.standard_normal((image.height, image.width, 3), np.float32)
    return _bytes(np.asarray(image) / np.float32(255) + np.float32(rng.uniform(0.008, 0.016)) * noise)


def _mixed(mix: np.ndarray, first: Hsv, second: Hsv) -> np.ndarray:
    """From ``first`` where ``mix`` (H, W) is 0 to ``second`` where it is 1: float32 (H, W, 3)."""
    start, end = (np.array(_rgb(colour), np.float32) for colour in (first, second))
    return start + mix[..., None] * (end - start)


def _rgb(colour: Hsv) -> tuple[float, float, float]:
    hue, saturation, value = colour
    return colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))


def _bytes(values: np.ndarray) -> np.ndarray:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def _grid(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The middles of the pixels: x and y, float32 (height, width)."""
    x, y = np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))
