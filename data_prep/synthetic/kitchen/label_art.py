"""Label art: small drawing helpers for packaging, on top of Pillow and its built-in font.

Images are uint8 RGB, about one texel a millimetre: at the distances of the demo a pixel covers two to four.
"""

import colorsys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_prep.synthetic.kitchen.meshes import Surface

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the label."""

SUPERSAMPLING = 2
WHITE, BLACK, STEEL = (245, 245, 240), (20, 20, 22), (176, 178, 182)


class Label:
    """A drawing surface addressed in fractions of its width and height."""

    def __init__(self, width_m: float, height_m: float, background: Colour):
        self.size = max(int(width_m * 1000), 8), max(int(height_m * 1000), 8)
        self._image = Image.new("RGB", [n * SUPERSAMPLING for n in self.size], background)
        self._draw = ImageDraw.Draw(self._image)

    def rectangle(self, box: Box, fill: Colour, outline: Colour | None = None) -> None:
        """Filled rectangle, with a thin outline if given."""
        self._draw.rectangle(self._pixels(box), fill, outline, width=2)

    def ellipse(self, box: Box, fill: Colour, outline: Colour | None = None) -> None:
        """Filled ellipse in ``box``, with an outline if given."""
        self._draw.ellipse(self._pixels(box), fill, outline, width=2 * SUPERSAMPLING)

    def polygon(self, points: Sequence[tuple[float, float]], fill: Colour) -> None:
        """Filled polygon."""
        width, height = self._image.size
        self._draw.polygon([(x * width, y * height) for x, y in points], fill)

    def text(self, box: Box, words: str, fill: Colour, stroke: Colour | None = None) -> None:
        """``words`` (lines split by newlines) as large as fits ``box``, centred, outlined if asked."""
        left, upper, right, lower = self._pixels(box)
        outline = SUPERSAMPLING if stroke else 0
        probe = self._draw.multiline_textbbox((0, 0), words, _font(64), spacing=0)
        fit = min((right - left) / (probe[2] - probe[0]), (lower - upper) / (probe[3] - probe[1]))
        self._draw.multiline_text(
            ((left + right) / 2, (upper + lower) / 2),
            words,
            fill,
            _font(max(int(64 * fit), 4)),
            anchor="mm",
            align="center",
            spacing=0,
            stroke_width=outline,
            stroke_fill=stroke,
        )

    def nutrition_facts(self, box: Box) -> None:
        """The black-on-white table of every package's side."""
        left, upper, right, lower = box
        self.rectangle(box, WHITE, BLACK)
        row = (lower - upper) / 10
        margin = (right - left) * 0.1
        for i in range(1, 10):
            reach = right - margin * (1 + 3 * (i % 3))
            y = upper + i * row
            self.rectangle((left + margin, y - row * 0.22, reach, y + row * 0.22), (70, 70, 70))

    def surface(self, gloss: float) -> Surface:
        """The label as it is now, printed."""
        return Surface(np.asarray(self._image.resize(self.size, Image.Resampling.BOX)), gloss)

    def _pixels(self, box: Box) -> tuple[float, float, float, float]:
        width, height = self._image.size
        return box[0] * width, box[1] * height, box[2] * width, box[3] * height


def lattice(columns: int, rows: int) -> list[tuple[float, float]]:
    """Middles of a pattern's motifs, every other row shifted by half; it closes around a wrap."""
    return [
        ((column + 0.25 + 0.5 * (row % 2)) / columns, (row + 0.5) / rows)
        for row in range(rows)
        for column in range(columns)
    ]


def plain(colour: Colour, gloss: float = 0.0) -> Surface:
    """A surface of one colour."""
    return Surface(np.full((4, 4, 3), colour, np.uint8), gloss)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """sRGB colour of a hue, saturation and value in 0..1."""
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))


@lru_cache(maxsize=128)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
