"""One kitchen: counter, wall and fixtures, the products and the clutter on it, and its lamps.

Kitchen coordinates are metres with the counter's top at z = 0, x along the counter and the wall at +y.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data_prep.kitchen.gmu.layout import INSTANCES, SCENES
from data_prep.synthetic.kitchen.clutter import CLUTTER, STANDING_CLUTTER
from data_prep.synthetic.kitchen.label_art import BLACK, STEEL, hsv, plain
from data_prep.synthetic.kitchen.materials import COUNTERS, TILE_M, WALLS
from data_prep.synthetic.kitchen.meshes import Mesh, Surface, box, merged, quad
from data_prep.synthetic.kitchen.products import product

N_PRODUCTS, N_CLUTTER = 10, 6
"""How many of the 11 products, and of the kinds of clutter, stand in a kitchen."""

WALL_Y, FRONT_Y, FLOOR_Z, CEILING_Z, HALF_LENGTH = 0.32, -0.34, -0.9, 1.5, 2.2
PLACED_X, PLACED_Y = 0.52, (-0.22, 0.22)
"""Area for products and clutter: half its width, and its range of y; it is widened only where it is full."""

PLACEMENT_TRIES = 400
PLACEMENT_CHOICES = 6
"""Free places compared for each thing: the one where it hides least is taken. More would look too tidy."""

LYING_KITCHENS = 3
"""Number of the nine kitchens in which each product lies on its back."""

TURN_SPREAD = 0.35
"""Standard deviation, in radians, by which things are turned away from facing a wall."""

ON_ITS_BACK = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])

LIGHT_SATURATION = (0.05, 0.2)
"""Of the main light's colour, in HSV: whites, warm and cold ones, rather than colours."""


class Posture(NamedTuple):
    """How a thing rests: on its back or upright, and turned about the vertical by ``turn`` radians."""

    lying: bool
    turn: float


@dataclass(frozen=True)
class Thing:
    """A product or a piece of clutter where it stands: ``name`` is an instance's or a kind of clutter."""

    name: str
    mesh: Mesh


@dataclass(frozen=True)
class Lamp:
    """A point light: ``place`` (3,) in metres, and linear RGB ``colour`` (3,) where it meets the counter."""

    place: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True)
class Kitchen:
    """A kitchen: its ``things``, the ``N_PRODUCTS`` products before the clutter, and the ``room`` around."""

    room: Mesh
    things: tuple[Thing, ...]
    lamps: tuple[Lamp, ...]
    ambient: np.ndarray


def compose_kitchen(number: int, seed: int, rng: np.random.Generator) -> Kitchen:
    """Compose kitchen ``number``.

    Materials, and which product is missing, cycle with the number; the products' postures come from ``seed``,
    everything else from ``rng``.
    """
    start = (number * 4) % len(INSTANCES)
    postures = deal_postures(seed)
    models = []
    for i in range(N_PRODUCTS):
        name = INSTANCES[(start + i) % len(INSTANCES)]
        models.append((name, _rested(product(name), postures[name][number - 1])))
    for kind in rng.choice(list(CLUTTER), N_CLUTTER, replace=False).tolist():
        lying = kind not in STANDING_CLUTTER and rng.random() < LYING_KITCHENS / len(SCENES)
        models.append((kind, _rested(CLUTTER[kind](rng), Posture(lying, rng.uniform(0, 2 * np.pi)))))
    things = _arranged(models, rng)
    lamps, ambient = _lighting(rng)
    return Kitchen(_room(number, things, rng), things, lamps, ambient)


def _arranged(models: Sequence[tuple[str, Mesh]], rng: np.random.Generator) -> tuple[Thing, ...]:
    """Put every model on the counter, the tall ones first and to the back, none touching another."""
    heights = [float(model.corners[..., 2].max()) for _, model in models]
    order = sorted(range(len(models)), key=lambda i: -heights[i] - rng.uniform(0, 0.08))
    placed: list[tuple[np.ndarray, float]] = []  # middle (x, y) and radius of the footprint
    things: dict[int, Thing] = {}
    for i in order:
        name, model = models[i]
        radius = float(np.abs(model.corners[..., :2]).max(axis=(0, 1)) @ (0.75, 0.25))
        crowding = 1.0
        while (place := _free_place(radius, heights[i], placed, PLACED_X * crowding, rng)) is None:
            crowding *= 1.2
        placed.append((place, radius))
        things[i] = Thing(name, model.moved((*place, 0.0)))
    return tuple(things[i] for i in sorted(things))


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
    model = model.moved((0, 0, 0), rotation_z(posture.turn) @ (ON_ITS_BACK if posture.lying else np.eye(3)))
    low, high = model.corners.min(axis=(0, 1)), model.corners.max(axis=(0, 1))
    return model.moved((*(-(low + high) / 2)[:2], -low[2]))


def _free_place(
    radius: float,
    height: float,
    placed: list[tuple[np.ndarray, float]],
    reach: float,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """The least crowded, seen from the room, of some free places in ``reach``; None where none is free."""
    back = min(height / 0.25, 1.0) * 0.6  # the taller, the nearer to the wall
    choices = []
    for _ in range(PLACEMENT_TRIES):
        nearest = PLACED_Y[0] + back * (PLACED_Y[1] - PLACED_Y[0])
        place = np.array([rng.uniform(-reach, reach), rng.uniform(nearest, PLACED_Y[1])])
        if all(np.linalg.norm(place - other) > radius + size + 0.012 for other, size in placed):
            hidden = sum(max(0.0, radius + size - abs(place[0] - other[0])) for other, size in placed)
            choices.append((hidden, len(choices), place))
            if len(choices) == PLACEMENT_CHOICES:
                break
    return min(choices)[2] if choices else None


def _room(number: int, things: Sequence[Thing], rng: np.random.Generator) -> Mesh:
    """Counter, cupboards, wall, floor and fixtures."""
    length, depth = 2 * HALF_LENGTH, WALL_Y - FRONT_Y
    counter = COUNTERS[number % len(COUNTERS)](rng)
    wall = Surface(WALLS[(number // 2 + number) % len(WALLS)](rng), 0.05)
    cupboard = plain(hsv(rng.random(), rng.uniform(0.05, 0.5), rng.uniform(0.3, 0.9)), 0.1)
    floor = plain(hsv(rng.random(), 0.2, rng.uniform(0.2, 0.5)))
    top = Surface(_with_contact_shadows(counter, length, depth, things), 0.25)
    edge = Surface(counter, 0.1)
    x, right = -HALF_LENGTH, (length, 0, 0)
    parts = [
        quad((x, WALL_Y, 0), right, (0, -depth, 0), top),
        quad((x, FRONT_Y, 0), right, (0, 0, -0.04), edge, TILE_M),
        quad((x, FRONT_Y + 0.03, -0.04), right, (0, 0, FLOOR_Z), cupboard),
        quad((x, WALL_Y, CEILING_Z), right, (0, 0, -CEILING_Z), wall, TILE_M),
        quad((x, 1.0, FLOOR_Z), right, (0, -4.0, 0), floor),
    ]
    for side in (-1.0, 1.0):  # the room's ends
        corner = (side * HALF_LENGTH, side * 3.0, CEILING_Z)
        parts.append(quad(corner, (0, -side * 6.0, 0), (0, 0, FLOOR_Z - CEILING_Z), wall, TILE_M))
    parts.append(_stove().moved((rng.choice([-1, 1]) * rng.uniform(1.0, 1.2), 0.0, 0.0)))
    height, width = rng.uniform(0.5, 0.6), rng.uniform(0.5, 0.9)
    shelf = box((width, 0.3, 0.7), cupboard)
    for i in range(-2, 3):
        if rng.random() < 0.6:
            parts.append(shelf.moved((i * (width + 0.01), WALL_Y - 0.15, height)))
    for _ in range(2):  # sockets
        socket = box((0.08, 0.01, 0.08), plain((235, 235, 230), 0.2))
        parts.append(socket.moved((rng.uniform(-0.7, 0.7), WALL_Y - 0.005, 0.25)))
    return merged(*parts)


def _stove() -> Mesh:
    black, ring = plain(BLACK, 0.7), plain((70, 66, 66), 0.3)
    rings = [
        box((0.16, 0.16, 0.004), ring).moved((x, y, 0.008)) for x in (-0.13, 0.13) for y in (-0.12, 0.12)
    ]
    panel = box((0.56, 0.02, 0.08), plain(STEEL, 0.6)).moved((0, WALL_Y - 0.02, 0))
    return merged(box((0.56, 0.5, 0.008), black), panel, *rings)


def _with_contact_shadows(
    material: np.ndarray, length: float, depth: float, things: Sequence[Thing]
) -> np.ndarray:
    """The material laid over the counter's whole top, darker where things stand on it."""
    texels = material.shape[0] / TILE_M
    rows, columns = round(depth * texels), round(length * texels)
    image = material[np.arange(rows)[:, None] % material.shape[0], np.arange(columns) % material.shape[1]]
    y = WALL_Y - (np.arange(rows)[:, None] + 0.5) / texels
    x = (np.arange(columns) + 0.5) / texels - length / 2
    light = np.ones((rows, columns))
    for thing in things:
        low, high = thing.mesh.corners[..., :2].min(axis=(0, 1)), thing.mesh.corners[..., :2].max(axis=(0, 1))
        middle, half = (low + high) / 2, (high - low) / 2
        reach = np.hypot(
            np.maximum(np.abs(x - middle[0]) - half[0], 0), np.maximum(np.abs(y - middle[1]) - half[1], 0)
        )
        light *= 1 - 0.45 * np.exp(-reach / 0.015)
    return (image * light[..., None]).astype(np.uint8)


def _lighting(rng: np.random.Generator) -> tuple[tuple[Lamp, ...], np.ndarray]:
    """A window or lamp in front of the counter, a weaker second one, and the light from all around."""
    tint = (np.array(hsv(rng.random(), rng.uniform(*LIGHT_SATURATION), 1.0)) / 255) ** 2.2
    tint /= tint.mean()
    side = rng.choice([-1.0, 1.0])
    key = Lamp(
        np.array([side * rng.uniform(0.5, 1.8), rng.uniform(-1.4, -0.4), rng.uniform(0.7, 1.4)]),
        rng.uniform(0.5, 1.2) * tint,
    )
    fill = Lamp(
        np.array([-side * rng.uniform(0.2, 1.5), rng.uniform(-1.2, -0.2), 1.4]),
        rng.uniform(0.05, 0.3) * np.ones(3),
    )
    return (key, fill), rng.uniform(0.12, 0.35) * (0.3 + 0.7 * tint)


def rotation_z(angle: float) -> np.ndarray:
    """Rotation about the vertical by ``angle`` radians, (3, 3)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
