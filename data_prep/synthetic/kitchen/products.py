"""The 11 products of the demo's kitchens: shape, size and label art after the annotated BigBIRD instances.

They differ by shape and by print; the two Nature Valley boxes, the dark reds (cola, sauce, crisps) and the
two squeezable bottles are alike on purpose, as they are on a real counter.
"""

from collections.abc import Callable
from functools import cache

from data_prep.synthetic.kitchen.label_art import BLACK, STEEL, WHITE, Colour, Label, lattice, plain
from data_prep.synthetic.kitchen.meshes import Mesh, Surface, base, box, disc, lid, merged, pouch, revolution

RED, DARK_RED, YELLOW = (200, 22, 30), (112, 18, 22), (250, 205, 50)
GREEN, BLUE = (40, 120, 50), (25, 60, 150)
BROWN, ORANGE, CREAM, COLA, OAT = (110, 62, 30), (240, 140, 30), (243, 230, 196), (50, 22, 16), (206, 150, 84)
FRONT_AND_BACK = (0.5, 0.0, 1.0)
"""Where a wrap's brand is printed: the middle is in front, the two ends meet behind."""


@cache
def product(name: str) -> Mesh:
    """Mesh of one of ``layout.INSTANCES``, standing upright with its front towards -y."""
    return PRODUCTS[name]()


def _coca_cola() -> Mesh:
    wrap = Label(0.18, 0.07, RED)
    for left in (0.0, 0.25, 0.5, 0.75):  # the wave
        wrap.polygon([(left, 0.95), (left + 0.25, 0.55), (left + 0.25, 0.72), (left, 1.0)], WHITE)
    for middle in FRONT_AND_BACK:
        wrap.text((middle - 0.17, 0.08, middle + 0.17, 0.56), "Coca-Cola", WHITE)

    shoulder = Label(0.02, 0.09, COLA)
    shoulder.rectangle((0, 0, 1, 0.4), (120, 138, 128))  # empty glass above the cola

    body = [(0.024, 0), (0.030, 0.006), (0.029, 0.03), (0.025, 0.05), (0.029, 0.075)]
    neck = [(0.029, 0.145), (0.024, 0.165), (0.014, 0.195), (0.0125, 0.232)]
    cap = plain(RED, 0.4)
    return merged(
        base(0.024, plain(COLA, 0.9)),
        revolution(body, plain(COLA, 0.9)),
        revolution([(0.0295, 0.075), (0.0295, 0.145)], wrap.surface(0.3)),
        revolution(neck, shoulder.surface(0.9)),
        lid(0.0145, 0.230, 0.242, cap),
    )


def _coffee_mate() -> Mesh:
    wrap = Label(0.26, 0.23, CREAM)
    for x, y in lattice(8, 7):  # coffee beans
        wrap.ellipse((x - 0.03, y - 0.05, x + 0.03, y + 0.05), BROWN)
    for middle in FRONT_AND_BACK:
        wrap.ellipse((middle - 0.2, 0.2, middle + 0.2, 0.55), RED, WHITE)
        wrap.text((middle - 0.15, 0.25, middle + 0.15, 0.5), "Coffee\nmate", WHITE)

    body = [(0.04, 0), (0.043, 0.008), (0.043, 0.09), (0.038, 0.14)]
    body += [(0.04, 0.165), (0.032, 0.195), (0.02, 0.21)]
    cap = plain(RED, 0.2)
    return merged(
        base(0.04, plain(CREAM, 0.25)),
        revolution(body, wrap.surface(0.25)),
        lid(0.023, 0.208, 0.245, cap),
    )


def _honey_bunches() -> Mesh:
    def comb(label: Label, columns: int, rows: int) -> None:
        dx, dy = 0.47 / columns, 0.62 / rows
        hexagon = [(0, -1), (1, -0.5), (1, 0.5), (0, 1), (-1, 0.5), (-1, -0.5)]
        for x, y in lattice(columns, rows):
            for size, colour in ((1.0, BROWN), (0.75, YELLOW)):
                label.polygon([(x + size * dx * a, y + size * dy * b) for a, b in hexagon], colour)

    def brand(label: Label) -> None:
        label.rectangle((0.06, 0.08, 0.94, 0.36), RED)
        label.text((0.1, 0.1, 0.9, 0.34), "HONEY\nBUNCHES", WHITE)
        label.ellipse((0.2, 0.62, 0.8, 0.94), WHITE, BROWN)
        label.ellipse((0.27, 0.65, 0.73, 0.86), (214, 160, 80))

    return _carton((0.19, 0.055, 0.29), YELLOW, comb, (0.035, 0.032), brand)


def _hunts_sauce() -> Mesh:
    wrap = Label(0.23, 0.1, RED)
    for x, y in lattice(6, 3):  # tomatoes
        wrap.ellipse((x - 0.065, y - 0.13, x + 0.065, y + 0.13), (236, 90, 50))
        wrap.polygon([(x - 0.04, y - 0.14), (x + 0.04, y - 0.14), (x, y)], GREEN)
    for middle in FRONT_AND_BACK:
        wrap.text((middle - 0.2, 0.3, middle + 0.2, 0.7), "Hunt's", WHITE, DARK_RED)

    return _can(0.037, 0.11, wrap.surface(0.5))


def _mahatma_rice() -> Mesh:
    size = w, _, h = (0.16, 0.06, 0.23)
    front, back = Label(w, h, (226, 216, 190)), Label(w, h, (226, 216, 190))
    for label in (front, back):
        for i in range(420):  # grains
            x, y = (i * 0.6180) % 1, (i * 0.7549) % 1
            label.ellipse((x, y, x + 0.045, y + 0.014), (186, 170, 130) if i % 2 else (252, 250, 244))
    front.ellipse((0.12, 0.22, 0.88, 0.62), GREEN, YELLOW)
    front.text((0.18, 0.28, 0.82, 0.54), "Mahatma\nRICE", WHITE)
    front.rectangle((0.2, 0.7, 0.8, 0.8), RED)
    back.nutrition_facts((0.22, 0.3, 0.78, 0.8))
    return pouch(size, front.surface(0.35), back.surface(0.35))


def _nature_valley(flavour: str, band: Colour, bars: Callable[[Label, int, int], None]) -> Mesh:
    """The two flavours differ in what they picture and in the band below it."""

    def brand(label: Label) -> None:
        hills = [(0, 0), (1, 0), (1, 0.3), (0.75, 0.42), (0.5, 0.3), (0.25, 0.42), (0, 0.3)]
        label.polygon(hills, (30, 84, 40))
        label.text((0.08, 0.03, 0.92, 0.26), "NATURE VALLEY", WHITE)
        label.rectangle((0.1, 0.72, 0.9, 0.9), band)
        label.text((0.12, 0.73, 0.88, 0.89), flavour, WHITE)

    return _carton((0.185, 0.055, 0.15), (70, 140, 62), bars, (0.037, 0.037), brand)


def _nature_valley_squares() -> Mesh:
    def squares(label: Label, columns: int, rows: int) -> None:
        dx, dy = 0.3 / columns, 0.34 / rows
        for x, y in lattice(columns, rows):
            label.rectangle((x - dx, y - dy, x + dx, y + dy), OAT, BROWN)

    return _nature_valley("Soft-Baked Squares", BROWN, squares)


def _nature_valley_almond() -> Mesh:
    def long_bars(label: Label, columns: int, rows: int) -> None:
        slant = rows / columns  # so that they lean by 45 degrees on any face
        for i in range(-rows, columns):
            left, width = i / columns, 0.45 / columns
            label.polygon([(left, 1), (left + width, 1), (left + width + slant, 0), (left + slant, 0)], OAT)

    return _nature_valley("Sweet & Salty Nut", BLUE, long_bars)


def _palmolive() -> Mesh:
    wrap = Label(0.24, 0.23, YELLOW)
    for x, y in lattice(5, 5):  # orange slices
        for radius, colour in ((0.085, WHITE), (0.065, ORANGE), (0.02, WHITE)):
            wrap.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
    for middle in FRONT_AND_BACK:
        wrap.rectangle((middle - 0.18, 0.4, middle + 0.18, 0.56), GREEN)
        wrap.text((middle - 0.16, 0.41, middle + 0.16, 0.55), "PALMOLIVE", WHITE)

    body = [(0.038, 0), (0.041, 0.008), (0.04, 0.07), (0.036, 0.12)]
    body += [(0.041, 0.165), (0.03, 0.195), (0.014, 0.21)]
    cap = plain(RED, 0.2)
    return merged(
        base(0.038, plain(YELLOW, 0.6), flatten=0.6),
        revolution(body, wrap.surface(0.6), flatten=0.6),
        revolution([(0.015, 0.208), (0.015, 0.222), (0.008, 0.245)], cap),
        disc(0.008, 0.245, cap),
    )


def _pop_secret() -> Mesh:
    def stripes(label: Label, columns: int, rows: int) -> None:
        for i in range(columns):
            label.rectangle(((i + 0.25) / columns, 0, (i + 0.75) / columns, 1), RED)

    def brand(label: Label) -> None:
        label.rectangle((0.08, 0.16, 0.92, 0.5), BLUE)
        label.text((0.12, 0.2, 0.88, 0.46), "POP SECRET", YELLOW)

    return _carton((0.165, 0.06, 0.125), WHITE, stripes, (0.028, 0.028), brand)


def _pringles() -> Mesh:
    wrap = Label(0.24, 0.23, (160, 26, 24))
    for row in range(7):  # stacked crisps
        y = 0.06 + 0.14 * row
        wrap.rectangle((0, y, 1, y + 0.06), (228, 150, 60))
    for middle in FRONT_AND_BACK:
        wrap.ellipse((middle - 0.15, 0.16, middle + 0.15, 0.44), CREAM, BROWN)
        wrap.polygon([(middle - 0.12, 0.34), (middle, 0.29), (middle + 0.12, 0.34), (middle, 0.41)], BROWN)
        wrap.ellipse((middle - 0.07, 0.22, middle - 0.03, 0.27), BLACK)
        wrap.ellipse((middle + 0.03, 0.22, middle + 0.07, 0.27), BLACK)
        wrap.rectangle((middle - 0.2, 0.5, middle + 0.2, 0.64), YELLOW)
        wrap.text((middle - 0.19, 0.5, middle + 0.19, 0.64), "Pringles", DARK_RED)

    plastic = plain(STEEL, 0.4)
    return merged(
        base(0.0375, plastic),
        revolution([(0.0375, 0), (0.0375, 0.232)], wrap.surface(0.35)),
        lid(0.039, 0.232, 0.245, plastic),
    )


def _red_bull() -> Mesh:
    wrap = Label(0.17, 0.12, BLUE)
    silver = (200, 204, 212)
    for row in range(4):
        for column in range(0, 6, 2):
            left = (column + row % 2) / 6
            right, top, bottom = left + 1 / 6, row / 4, row / 4 + 0.25
            wrap.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], silver)
    for middle in FRONT_AND_BACK:
        wrap.ellipse((middle - 0.12, 0.34, middle + 0.12, 0.66), YELLOW)
        wrap.polygon([(middle - 0.2, 0.56), (middle, 0.4), (middle + 0.2, 0.56), (middle, 0.5)], RED)

    return _can(0.0265, 0.135, wrap.surface(0.5))


def _can(radius: float, height: float, wrap: Surface) -> Mesh:
    """Can with steel ends and a print in between."""
    steel = plain(STEEL, 0.8)
    rim = 0.006
    return merged(
        base(radius * 0.92, steel),
        revolution([(radius * 0.92, 0), (radius, rim)], steel),
        revolution([(radius, rim), (radius, height - rim)], wrap),
        revolution([(radius, height - rim), (radius * 0.92, height)], steel),
        disc(radius * 0.92, height - 0.002, steel),
    )


def _carton(
    size: tuple[float, float, float],
    ground: Colour,
    pattern: Callable[[Label, int, int], None],
    cell: tuple[float, float],
    brand: Callable[[Label], None],
) -> Mesh:
    """Carton: ``pattern`` in cells of about ``cell`` metres all over, ``brand`` in front and behind."""

    def printed(width: float, height: float) -> Label:
        label = Label(width, height, ground)
        pattern(label, max(round(width / cell[0]), 1), max(round(height / cell[1]), 1))
        return label

    w, d, h = size
    face, flank, end = printed(w, h), printed(d, h), printed(w, d).surface(0.1)
    brand(face)
    flank.nutrition_facts((0.2, 0.5, 0.8, 0.9))
    front, side = face.surface(0.1), flank.surface(0.1)
    return box(size, front, side, front, side, end, end)


PRODUCTS: dict[str, Callable[[], Mesh]] = {
    "coca_cola_glass_bottle": _coca_cola,
    "coffee_mate_french_vanilla": _coffee_mate,
    "honey_bunches_of_oats_honey_roasted": _honey_bunches,
    "hunts_sauce": _hunts_sauce,
    "mahatma_rice": _mahatma_rice,
    "nature_valley_soft_baked_oatmeal_squares_cinnamon_brown_sugar": _nature_valley_squares,
    "nature_valley_sweet_and_salty_nut_almond": _nature_valley_almond,
    "palmolive_orange": _palmolive,
    "pop_secret_light_butter": _pop_secret,
    "pringles_bbq": _pringles,
    "red_bull": _red_bull,
}
