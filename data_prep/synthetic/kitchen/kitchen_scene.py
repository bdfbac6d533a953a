"""One kitchen: counter, wall and floor, the products and other packages on the counter, and its lamp.

Kitchen coordinates are metres with the counter's top at z = 0, x along the counter and the wall at +y.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from data_prep.kitchen.gmu.layout import INSTANCES, SCENES
from data_prep.synthetic.kitchen.meshes import Mesh, merged, quad
from data_prep.synthetic.kitchen.packages import PRODUCTS, other_brand, package_mesh

N_PRODUCTS, N_OTHERS = 10, 6
"""How many of the 11 products, and of other brands' packages, stand in a kitchen."""

WALL_Y, FRONT_Y, FLOOR_Z, CEILING_Z, HALF_LENGTH = 0.32, -0.34, -0.9, 3.0, 6.0
PLACED_X, PLACED_Y = 0.52, (-0.22, 0.22)
"""Area for the packages: half its width, and its range of y; it is widened only where it is full."""

PLACEMENT_TRIES = 400
PLACEMENT_CHOICES = 6
"""Free places compared for each package: the one where it hides least is taken. More would look too tidy."""

LYING_KITCHENS = 3
"""Number of the nine kitchens in which each product lies on its back."""

TURN_SPREAD = 0.35
"""Standard deviation, in radians, by which products are turned away from facing a wall."""

ON_ITS_BACK = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])

TILE_M, TILE_TEXELS = 0.6, 288
"""Side of the square that a material's image covers, in metres and in texels."""


class Posture(NamedTuple):
    """How a package rests: on its back or upright, and turned about the vertical by ``turn`` radians."""

    lying: bool
    turn: float


class Thing(NamedTuple):
    """A package where it stands: ``name`` is an instance's, or of another brand."""

    name: str
    mesh: Mesh


@dataclass(frozen=True)
class Kitchen:
    """A kitchen: its ``things``, the ``N_PRODUCTS`` products before the others, and the ``room`` around.

    A lamp at ``lamp`` (3,) lights it with linear RGB ``light`` (3,); ``ambient`` (3,) comes from all around.
    """

    room: Mesh
    things: tuple[Thing, ...]
    lamp: np.ndarray
    light: np.ndarray
    ambient: np.ndarray


def compose_kitchen(number: int, seed: int, rng: np.random.Generator) -> Kitchen:
    """Compose kitchen ``number``.

    Which product is missing cycles with the number; the products' postures come from ``seed``, the rest from
    ``rng``.
    """
    start = (number * 4) % len(INSTANCES)
    postures = deal_postures(seed)
    models = []
    for i in range(N_PRODUCTS):
        name = INSTANCES[(start + i) % len(INSTANCES)]
        models.append((name, _rested(package_mesh(PRODUCTS[name]), postures[name][number - 1])))
    for i in range(N_OTHERS):
        posture = Posture(bool(rng.random() < LYING_KITCHENS / len(SCENES)), rng.uniform(0, 2 * np.pi))
        models.append((f"other_brand_{i + 1}", _rested(package_mesh(other_brand(rng)), posture)))
    tint = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.2), 1.0)) ** 2.2
    place = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.8), rng.uniform(-1.4, -0.4), rng.uniform(0.7, 1.4)
    return Kitchen(
        room=_room(rng),
        things=_arranged(models, rng),
        lamp=np.array(place),
        light=rng.uniform(0.6, 1.4) * tint / tint.mean(),
        ambient=rng.uniform(0.15, 0.4) * np.ones(3),
    )


def deal_postures(seed: int) -> dict[str, list[Posture]]:
    """Every product's postures in all the kitchens, by kitchen number - 1.

    They are dealt, not drawn: each product lies in the same share of the kitchens and shows each of its sides
    about as often, or a few scenes would leave it to chance whether one kitchen's product is like another's.
    """
    decks = {}
    for index, name in enumerate(INSTANCES):
        rng = np.random.default_rng([seed, 0, index])
        lying = rng.permutation(len(SCENES)) < LYING_KITCHENS
        quarters = rng.permutation(np.arange(len(SCENES)) % 4)
        turns = quarters * np.pi / 2 + rng.normal(0, TURN_SPREAD, len(SCENES))
        decks[name] = [Posture(bool(flat), float(turn)) for flat, turn in zip(lying, turns, strict=True)]
    return decks


def _rested(model: Mesh, posture: Posture) -> Mesh:
    """The model in its posture, in the middle over z = 0."""
    cos, sin = np.cos(posture.turn), np.sin(posture.turn)
    turned = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    model = model.moved((0, 0, 0), turned @ (ON_ITS_BACK if posture.lying else np.eye(3)))
    low, high = model.corners.min(axis=(0, 1)), model.corners.max(axis=(0, 1))
    return model.moved((*(-(low + high) / 2)[:2], -low[2]))


def _arranged(models: Sequence[tuple[str, Mesh]], rng: np.random.Generator) -> tuple[Thing, ...]:
    """Put every model on the counter, the tall ones first and to the back, none touching another."""
    heights = [float(model.corners[..., 2].max()) for _, model in models]
    order = sorted(range(len(models)), key=lambda i: -heights[i] - rng.uniform(0, 0.08))
    placed: list[tuple[np.ndarray, float]] = []  # middle (x, y) and radius of the footprint
    things: dict[int, Thing] = {}
    for i in order:
        name, model = models[i]
        radius = float(np.abs(model.corners[..., :2]).max(axis=(0, 1)) @ (0.75, 0.25))
        back = min(heights[i] / 0.25, 1.0) * 0.6  # the taller, the nearer to the wall
        nearest = PLACED_Y[0] + back * (PLACED_Y[1] - PLACED_Y[0])
        crowding = 1.0
        while (place := _free_place(radius, nearest, placed, PLACED_X * crowding, rng)) is None:
            crowding *= 1.2
        placed.append((place, radius))
        things[i] = Thing(name, model.moved((*place, 0.0)))
    return tuple(things[i] for i in sorted(things))


def _free_place(
    radius: float,
    nearest: float,
    placed: list[tuple[np.ndarray, float]],
    reach: float,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """The least crowded, seen from the room, of some free places in ``reach``; None where none is free."""
    choices = []
    for _ in range(PLACEMENT_TRIES):
        place = np.array([rng.uniform(-reach, reach), rng.uniform(nearest, PLACED_Y[1])])
        if all(np.linalg.norm(place - other) > radius + size + 0.012 for other, size in placed):
            hidden = sum(max(0.0, radius + size - abs(place[0] - other[0])) for other, size in placed)
            choices.append((hidden, len(choices), place))
            if len(choices) == PLACEMENT_CHOICES:
                break
    return min(choices)[2] if choices else None


def _room(rng: np.random.Generator) -> Mesh:
    """Counter, cupboards below it, wall and floor, each of a material of its own."""
    x, right = -HALF_LENGTH, (2 * HALF_LENGTH, 0, 0)
    counter, front = _material(rng, tiled=False), _material(rng, tiled=False)
    wall, floor = _material(rng, tiled=rng.random() < 0.6), _material(rng, tiled=True)
    return merged(
        quad((x, WALL_Y, 0), right, (0, FRONT_Y - WALL_Y, 0), counter, TILE_M),
        quad((x, FRONT_Y, 0), right, (0, 0, FLOOR_Z), front, TILE_M),
        quad((x, WALL_Y, CEILING_Z), right, (0, 0, -CEILING_Z), wall, TILE_M),
        quad((x, 1.0, FLOOR_Z), right, (0, -4.0, 0), floor, TILE_M),
    )


def _material(rng: np.random.Generator, tiled: bool) -> np.ndarray:
    """Stone, wood or paint, uint8 (TILE_TEXELS, TILE_TEXELS, 3): a colour, a grain, joints between tiles."""
    base = 255 * np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.4), rng.uniform(0.45, 0.9)))
    image = np.broadcast_to(base, (TILE_TEXELS, TILE_TEXELS, 3)).copy()
    # cells of both sides: equal for stone, unequal for wood
    for cells in rng.choice([3, 6, 12, 24, 48, 96], (2, 2)):
        grid = np.pad(rng.standard_normal(cells).astype(np.float32), ((0, 1), (0, 1)), mode="wrap")
        grain = Image.fromarray(grid).resize((TILE_TEXELS, TILE_TEXELS), Image.Resampling.BICUBIC)
        image += rng.uniform(5, 20) * np.asarray(grain)[..., None]
    if tiled:
        side = TILE_TEXELS // int(rng.choice([3, 4, 6]))
        y, x = np.mgrid[:TILE_TEXELS, :TILE_TEXELS]
        image[(y % side < 3) | (x % side < 3)] = 255 * rng.uniform(0.4, 0.9)
    return np.clip(image, 0, 255).astype(np.uint8)
