"""What a class looks like: a silhouette, a surface and a loose palette, drawn from (seed, class)."""

from dataclasses import dataclass

from data_prep.synthetic.pictures.random_numbers import Stream, generator
from data_prep.synthetic.pictures.silhouettes import SILHOUETTES
from data_prep.synthetic.pictures.surfaces import SURFACES

Hsv = tuple[float, float, float]
"""Hue, saturation, value, each 0 to 1."""


@dataclass(frozen=True)
class Look:
    """A class as it is drawn.

    Attributes:
        silhouette: a name of ``SILHOUETTES``.
        surface: a name of ``SURFACES``.
        colours: the two that the surface mixes, before they vary from picture to picture.
    """

    silhouette: str
    surface: str
    colours: tuple[Hsv, Hsv]

    @property
    def name(self) -> str:
        """Silhouette and surface, such as ``disc_stripes``."""
        return f"{self.silhouette}_{self.surface}"


def class_looks(n_classes: int, seed: int, per_silhouette: int = 1) -> tuple[Look, ...]:
    """The looks of ``n_classes`` classes, all different.

    ``per_silhouette`` neighbours share a silhouette. The first classes look the same however many follow.
    There are 20 silhouettes and 10 surfaces.
    """
    order = generator(seed, Stream.ORDER)
    silhouettes = order.permutation(list(SILHOUETTES))
    surfaces = order.permutation(list(SURFACES))
    looks = []
    for label in range(n_classes):
        shape, variant = divmod(label, per_silhouette)
        # a Latin square: neither silhouette nor surface alone identifies the class
        surface = surfaces[(shape + 3 * variant) % len(surfaces)]
        looks.append(Look(str(silhouettes[shape]), str(surface), _colours(seed, label)))
    return tuple(looks)


def _colours(seed: int, label: int) -> tuple[Hsv, Hsv]:
    """A darker and a lighter colour of one or two hues."""
    rng = generator(seed, Stream.PALETTE, label)
    hue = rng.uniform()
    other = hue + rng.choice([0.0, 0.12, 0.35, 0.5])
    dark = (hue, rng.uniform(0.55, 0.95), rng.uniform(0.25, 0.5))
    light = (other % 1, rng.uniform(0.15, 0.8), rng.uniform(0.8, 1.0))
    return (dark, light) if rng.uniform() < 0.5 else (light, dark)
