"""What stands on the demo's counters: the 11 annotated products, and packages of other brands.

Each is one line of a table: a shape, a size, and a print. The two Nature Valley boxes, the dark reds (cola,
sauce, crisps) and the two squeezable bottles are alike on purpose, as they are on a real counter.
"""

import colorsys
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_prep.synthetic.kitchen.meshes import Mesh, box, revolution

Colour = tuple[int, int, int]
Profile = tuple[tuple[float, float], ...]

TEXELS_PER_M = 500
"""A pixel of the demo's frames covers two to four millimetres of a package, a texel two."""

SUPERSAMPLING = 4

RED, DARK_RED, TOMATO, ORANGE = (200, 22, 30), (120, 18, 22), (236, 90, 50), (240, 140, 30)
YELLOW, GREEN, BLUE, CREAM = (250, 205, 50), (70, 140, 62), (25, 60, 150), (243, 230, 196)
BROWN, COLA, OAT, SILVER, WHITE = (
    (110, 62, 30),
    (50, 22, 16),
    (206, 150, 84),
    (196, 200, 208),
    (245, 245, 240),
)

# Shapes other than a carton's: radius and height along a profile, as shares of half the width and the height.
CAN: Profile = ((0, 0), (0.92, 0), (1, 0.03), (1, 0.97), (0.92, 1), (0, 1))
BOTTLE: Profile = (
    (0, 0),
    (0.85, 0),
    (1, 0.03),
    (0.9, 0.2),
    (1, 0.32),
    (1, 0.62),
    (0.5, 0.85),
    (0.42, 1),
    (0, 1),
)
SQUEEZER: Profile = ((0, 0), (0.92, 0), (1, 0.04), (0.88, 0.55), (1, 0.68), (0.5, 0.86), (0.3, 1), (0, 1))
BAG: Profile = ((0, 0), (0.75, 0), (1, 0.1), (1, 0.85), (0.6, 0.97), (0, 1))


class Package(NamedTuple):
    """A package of ``size`` (width, depth, height) in metres; ``shape`` None is a carton.

    ``pattern`` in ``ink`` covers the ``ground``; the ``brand`` stands on a ``band``, whose colour
    the uppermost ``cap`` of the height has, too.
    """

    shape: Profile | None
    size: tuple[float, float, float]
    ground: Colour
    pattern: str
    ink: Colour
    band: Colour
    brand: str
    cap: float = 0.0


PRODUCTS = {
    "coca_cola_glass_bottle": Package(BOTTLE, (0.06, 0.06, 0.24), COLA, "plain", RED, RED, "Coca-Cola", 0.06),
    "coffee_mate_french_vanilla": Package(
        SQUEEZER, (0.086, 0.086, 0.24), CREAM, "dots", BROWN, RED, "Coffee\nmate", 0.14
    ),
    "honey_bunches_of_oats_honey_roasted": Package(
        None, (0.19, 0.055, 0.29), YELLOW, "dots", OAT, RED, "HONEY\nBUNCHES"
    ),
    "hunts_sauce": Package(CAN, (0.074, 0.074, 0.11), RED, "dots", TOMATO, DARK_RED, "Hunt's"),
    "mahatma_rice": Package(BAG, (0.15, 0.06, 0.22), WHITE, "plain", RED, GREEN, "MAHATMA"),
    "nature_valley_soft_baked_oatmeal_squares_cinnamon_brown_sugar": Package(
        None, (0.185, 0.055, 0.15), GREEN, "checks", OAT, BROWN, "NATURE\nVALLEY"
    ),
    "nature_valley_sweet_and_salty_nut_almond": Package(
        None, (0.185, 0.055, 0.15), GREEN, "diagonals", OAT, BLUE, "NATURE\nVALLEY"
    ),
    "palmolive_orange": Package(
        SQUEEZER, (0.082, 0.05, 0.245), YELLOW, "dots", ORANGE, GREEN, "PALM-\nOLIVE", 0.14
    ),
    "pop_secret_light_butter": Package(None, (0.165, 0.06, 0.125), WHITE, "stripes", RED, BLUE, "POP SECRET"),
    "pringles_bbq": Package(CAN, (0.075, 0.075, 0.245), DARK_RED, "rows", ORANGE, YELLOW, "Pringles", 0.05),
    "red_bull": Package(CAN, (0.053, 0.053, 0.135), BLUE, "checks", SILVER, RED, "BULL"),
}


def _colour(rng: np.random.Generator) -> Colour:
    hue, more = rng.random(), np.asarray(rng.uniform([0.2, 0.35], [0.8, 0.95]))
    red, green, blue = colorsys.hsv_to_rgb(hue, *more)
    return round(255 * red), round(255 * green), round(255 * blue)


def other_brand(rng: np.random.Generator) -> Package:
    """A package like none of the products, in shape, size, print and colours of its own."""
    ground, ink, band = (_colour(rng) for _ in range(3))
    shape = (None, CAN, BOTTLE, SQUEEZER, BAG)[rng.integers(5)]
    width, height = rng.uniform(0.05, 0.12), rng.uniform(0.08, 0.24)
    pattern = str(rng.choice(["plain", "dots", "stripes", "rows", "checks"]))
    brand = str(rng.choice(["TEA", "Soup", "MILK", "jam", "SALT"]))
    size = width, width * rng.uniform(0.6, 1), height
    return Package(shape, size, ground, pattern, ink, band, brand, 0.06)


@cache
def package_mesh(package: Package) -> Mesh:
    """The package upright, with its front towards -y."""
    width, depth, height = package.size
    if package.shape is None:
        flank, end = _label(package, depth, height, n_brands=0), _label(package, width, depth, n_brands=0)
        return box(package.size, _label(package, width, height, n_brands=1), flank, end)
    profile = [(radius * width / 2, share * height) for radius, share in package.shape]
    return revolution(profile, _label(package, np.pi * width, height, n_brands=2), depth / width)


def _label(package: Package, width: float, height: float, n_brands: int) -> np.ndarray:
    """A print of ``width`` × ``height`` metres, uint8 (H, W, 3), with the brand in front, or also behind."""
    size = [max(int(side * TEXELS_PER_M), 4) for side in (width, height)]
    w, h = (side * SUPERSAMPLING for side in size)
    image = Image.new("RGB", (w, h), package.ground)
    draw = ImageDraw.Draw(image)
    cell = 0.036 * TEXELS_PER_M * SUPERSAMPLING
    columns, rows = max(2 * round(w / cell / 2), 2), max(round(h / cell), 1)
    dx, dy = w / columns, h / rows
    for row in range(rows):
        for column in range(columns):
            x, y = column * dx, row * dy
            match package.pattern:
                case "dots":
                    x += dx * 0.5 * (row % 2)
                    draw.ellipse((x + 0.1 * dx, y + 0.1 * dy, x + 0.8 * dx, y + 0.8 * dy), package.ink)
                case "checks" if (row + column) % 2:
                    draw.rectangle((x, y, x + dx, y + dy), package.ink)
                case "stripes" if column % 2:
                    draw.rectangle((x, y, x + dx, y + dy), package.ink)
                case "rows":
                    draw.rectangle((x, y, x + dx, y + 0.5 * dy), package.ink)
                case "diagonals":
                    corners = (x, y + dy), (x + 0.5 * dx, y + dy), (x + dx, y), (x + 0.5 * dx, y)
                    draw.polygon(corners, package.ink)
    for i in range(n_brands):  # of a wrap: half in front, which is its middle, and half behind, at its ends
        middle = w / 2 + i * w / 2
        reach = w * (0.42 if n_brands == 1 else 0.18)
        for x in {middle, middle - w} if i else {middle}:
            draw.rectangle((x - reach, 0.3 * h, x + reach, 0.62 * h), package.band)
            _write(draw, (x, 0.46 * h), (1.8 * reach, 0.26 * h), package.brand)
    if package.cap:
        draw.rectangle((0, 0, w, package.cap * h), package.band)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def _write(
    draw: ImageDraw.ImageDraw, middle: tuple[float, float], room: tuple[float, float], words: str
) -> None:
    """Write ``words`` (lines split by newlines) in white, as large as fits the ``room`` (width, height)."""
    probe = draw.multiline_textbbox((0, 0), words, ImageFont.load_default(64), spacing=0)
    fit = min(room[0] / (probe[2] - probe[0]), room[1] / (probe[3] - probe[1]))
    font = ImageFont.load_default(max(int(64 * fit), 4))
    draw.multiline_text(middle, words, WHITE, font, anchor="mm", align="center", spacing=0)
