"""What stands between the products: dishes, fruit, jars and other brands, each in colours of its own."""

from collections.abc import Callable

import numpy as np

from data_prep.synthetic.kitchen.label_art import BLACK, STEEL, WHITE, Colour, Label, hsv, plain
from data_prep.synthetic.kitchen.meshes import Mesh, base, box, disc, lid, merged, revolution


def _colour(rng: np.random.Generator, saturation: float = 0.6) -> Colour:
    return hsv(rng.random(), saturation * rng.uniform(0.4, 1), rng.uniform(0.35, 0.95))


def _mug(rng: np.random.Generator) -> Mesh:
    glaze = plain(_colour(rng), 0.5)
    return merged(
        revolution([(0.034, 0), (0.041, 0.006), (0.042, 0.095)], glaze),
        disc(0.041, 0.085, plain((60, 40, 30), 0.2)),
        box((0.012, 0.03, 0.05), glaze).moved((0.0, 0.055, 0.02)),
    )


def _bowl(rng: np.random.Generator) -> Mesh:
    glaze = plain(_colour(rng, 0.4), 0.5)
    inside = plain(WHITE, 0.3)
    return merged(
        revolution([(0.04, 0), (0.06, 0.015), (0.08, 0.045), (0.085, 0.07)], glaze),
        disc(0.083, 0.062, inside),
    )


def _apple(rng: np.random.Generator) -> Mesh:
    skin = hsv(rng.choice([0.0, 0.13, 0.27]), 0.75, rng.uniform(0.6, 0.85))
    angles = np.linspace(-np.pi / 2, np.pi / 2, 9)
    profile = [(0.038 * np.cos(a), 0.036 + 0.036 * np.sin(a)) for a in angles]
    return revolution(profile, plain(skin, 0.3), segments=16)


def _jar(rng: np.random.Generator) -> Mesh:
    content, top, band = _colour(rng, 0.8), _colour(rng, 0.7), _colour(rng, 0.3)

    wrap = Label(0.22, 0.12, content)
    wrap.rectangle((0, 0.35, 1, 0.75), band)
    wrap.text((0.3, 0.42, 0.7, 0.66), "preserve", BLACK)

    return merged(
        revolution([(0.034, 0), (0.036, 0.1), (0.03, 0.115)], wrap.surface(0.6)),
        lid(0.032, 0.113, 0.13, plain(top, 0.3)),
        base(0.034, plain(content, 0.6)),
    )


def _milk_carton(rng: np.random.Generator) -> Mesh:
    ink = _colour(rng, 0.9)

    face = Label(0.07, 0.2, WHITE)
    face.rectangle((0, 0.55, 1, 1), ink)
    face.text((0.1, 0.18, 0.9, 0.42), "MILK", ink)

    paper = face.surface(0.1)
    return merged(
        box((0.07, 0.07, 0.2), paper, paper, paper, paper, plain(WHITE), plain(WHITE)),
        box((0.07, 0.02, 0.025), plain(ink)).moved((0, 0, 0.2)),
    )


def _soup_can(rng: np.random.Generator) -> Mesh:
    upper, lower = _colour(rng, 0.9), _colour(rng, 0.5)

    wrap = Label(0.21, 0.1, upper)
    wrap.rectangle((0, 0.5, 1, 1), lower)
    wrap.text((0.3, 0.15, 0.7, 0.45), "Soup", WHITE)

    steel = plain(STEEL, 0.8)
    return merged(
        revolution([(0.033, 0), (0.033, 0.1)], wrap.surface(0.5)),
        disc(0.033, 0.1, steel),
        base(0.033, steel),
    )


def _tea_box(rng: np.random.Generator) -> Mesh:
    paper, ink = _colour(rng, 0.8), _colour(rng, 0.5)

    face = Label(0.12, 0.09, paper)
    face.ellipse((0.2, 0.1, 0.8, 0.7), ink)
    face.text((0.3, 0.72, 0.7, 0.95), "TEA", WHITE)

    return box((0.12, 0.07, 0.09), face.surface(0.1), plain(paper))


def _bottle(rng: np.random.Generator) -> Mesh:
    liquid, cap, band = _colour(rng, 0.9), _colour(rng, 0.3), _colour(rng, 0.5)
    body = [(0.03, 0), (0.033, 0.01), (0.033, 0.15), (0.028, 0.175), (0.013, 0.2), (0.013, 0.24)]

    wrap = Label(0.2, 0.25, liquid)
    wrap.rectangle((0, 0.45, 1, 0.8), band)
    wrap.ellipse((0.38, 0.48, 0.62, 0.77), WHITE)

    return merged(
        revolution(body, wrap.surface(0.7)),
        lid(0.015, 0.238, 0.26, plain(cap, 0.3)),
        base(0.03, plain(liquid, 0.7)),
    )


def _knife_block(rng: np.random.Generator) -> Mesh:
    wood = hsv(0.08, rng.uniform(0.4, 0.7), rng.uniform(0.3, 0.7))
    block = box((0.09, 0.11, 0.17), plain(wood, 0.2))
    handle = box((0.016, 0.022, 0.08), plain(BLACK, 0.3))
    handles = [handle.moved((x, y, 0.17)) for x in (-0.025, 0.0, 0.025) for y in (-0.025, 0.025)]
    return merged(block, *handles)


def _kitchen_roll(rng: np.random.Generator) -> Mesh:
    paper = plain(hsv(rng.random(), 0.05, 0.95))
    holder = revolution([(0.012, 0.2), (0.012, 0.27)], plain(STEEL, 0.8))
    return merged(lid(0.055, 0, 0.23, paper), holder)


CLUTTER: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "mug": _mug,
    "bowl": _bowl,
    "apple": _apple,
    "jar": _jar,
    "milk_carton": _milk_carton,
    "soup_can": _soup_can,
    "tea_box": _tea_box,
    "bottle": _bottle,
    "knife_block": _knife_block,
    "kitchen_roll": _kitchen_roll,
}
"""By kind: a mesh that stands upright, in colours drawn from the generator."""

STANDING_CLUTTER = ("mug", "bowl", "apple", "knife_block", "kitchen_roll")
"""Kinds that always stand upright."""
