"""A table as a picture: set like a printed one, with rules above, below and under its head."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from cld.reporting.style import TEXT_WIDTH, plt, save

GREY, WARNING, GAP = "#666666", "#b04a00", "#b04a00"
#: In points.
SIZE, SMALL, LEADING = 7.0, 6.0, 1.5
PAD_PT, MARGIN_PT = 5.0, 6.0


@dataclass(frozen=True)
class Piece:
    """A text in a line: ``column`` of the grid to set it in, and ``until`` where it spans several."""

    text: str
    column: int
    until: int
    align: str = "right"
    colour: str = "black"
    weight: str = "normal"
    style: str = "normal"


def draw(shown: Mapping, path: str | Path) -> None:
    """Draw what :func:`cld.reporting.tables.render.view` shows, as wide as its columns need, and save it."""
    head, body = list(_head(shown)), list(_body(shown))
    n_columns = 1 + _step(shown) * len(shown["columns"])
    widths = _widths([*head, *body], n_columns)
    width = max(sum(widths), TEXT_WIDTH * 72 - 2 * MARGIN_PT)
    lefts = [sum(widths[:n]) * width / sum(widths) for n in range(n_columns + 1)]

    above = _wrapped(shown["title"], SIZE + 1, width, weight="bold")
    above += _wrapped(shown["caption"], SIZE, width)
    if shown["warning"]:
        above += _wrapped(shown["warning"], SIZE, width, color=WARNING, weight="bold")
    checks, notes = [], []
    if shown["checks"]:
        checks += _wrapped(shown["checks_title"], SMALL, width, weight="bold")
        for check in shown["checks"]:
            checks += _wrapped(f"{check.text}: {check.verdict.upper()}; {check.evidence}", SMALL, width)
    for note in shown["notes"]:
        notes += _wrapped(note, SMALL, width, color=GREY)

    pen = _Pen(width)
    pen.paragraphs(above)
    pen.rule(0, width, 1.0)
    for n, line in enumerate(head):
        pen.line(line, lefts)
        if n == 0 and len(head) > 1:
            for start in range(1, n_columns, 3):
                pen.rule(lefts[start] + PAD_PT, lefts[start + 3], 0.4, gap=0)
    pen.rule(0, width, 0.6)
    for line in body:
        if line:
            pen.line(line, lefts)
        else:
            pen.rule(0, width, 0.6)
    pen.rule(0, width, 1.0)
    pen.paragraphs(checks)
    pen.down += PAD_PT * bool(checks)
    pen.paragraphs(notes)
    save(pen.drawn(), [path])


def _step(shown: Mapping) -> int:
    """Columns of the picture to a column of the table: ours, published and difference, or ours alone."""
    return 3 if shown["published"] else 1


def _head(shown: Mapping) -> Iterator[list[Piece]]:
    first = Piece(shown["row_header"], 0, 1, "left")
    if not shown["published"]:
        yield [first, *(Piece(name, n, n + 1) for n, name in enumerate(shown["columns"], start=1))]
        return
    starts = range(1, 1 + 3 * len(shown["columns"]), 3)
    yield [Piece(name, n, n + 3, "center") for n, name in zip(starts, shown["columns"], strict=True)]
    yield [
        first,
        *(
            Piece(name, start + n, start + n + 1, colour="black" if n == 0 else GREY)
            for start in starts
            for n, name in enumerate(("ours", "published", "difference"))
        ),
    ]


def _body(shown: Mapping) -> Iterator[list[Piece]]:
    """Lines of the grid, then of the references; an empty one is a rule between them."""
    step = _step(shown)
    end = 1 + step * len(shown["columns"])
    for group in shown["groups"]:
        if group["label"]:
            yield [Piece(group["label"], 0, end, "left", style="italic")]
        for row in group["rows"]:
            pieces = [Piece(row["label"], 0, 1, "left")]
            for n, cell in enumerate(row["cells"]):
                pieces += _numbers(cell, 1 + step * n, shown["published"])
            yield pieces
    if shown["references"]:
        yield []
    for reference in shown["references"]:
        yield [Piece(reference["label"], 0, 1, "left"), *_numbers(reference, 1, False)]


def _numbers(cell: Mapping, start: int, published: bool) -> list[Piece]:
    weight, colour = "bold" if cell["best"] else "normal", GAP if cell["missing"] else "black"
    pieces = [Piece(cell["ours"], start, start + 1, colour=colour, weight=weight)]
    if published:
        pieces += [
            Piece(cell[name], start + n, start + n + 1, colour=GREY)
            for n, name in enumerate(("published", "difference"), start=1)
        ]
    return pieces


def _text_width(text: str, size: float, weight: str = "normal", style: str = "normal") -> float:
    """Width of a text, in points."""
    font = FontProperties(size=size, weight=weight, style=style)
    return text_to_path.get_text_width_height_descent(text.replace("$", r"\$"), font, ismath=False)[0]


def _widths(lines: list[list[Piece]], n_columns: int) -> list[float]:
    """Each column's width in points: what its texts need, and their share of texts that span several."""
    widths = [0.0] * n_columns
    pieces = sorted((piece for line in lines for piece in line), key=lambda piece: piece.until - piece.column)
    for piece in pieces:
        if piece.column == 0 and piece.until > 1:
            continue  # a heading runs over the whole width
        need = _text_width(piece.text, SIZE, piece.weight, piece.style) + 2 * PAD_PT
        spanned = range(piece.column, piece.until)
        lack = need - sum(widths[column] for column in spanned)
        if lack > 0:
            for column in spanned:
                widths[column] += lack / len(spanned)
    return widths


def _wrapped(text: str, size: float, width: float, **look: str) -> list[tuple[str, float, dict]]:
    """Lines of a paragraph that are no wider than ``width`` points."""
    characters = max(
        20, int(width / (_text_width(text, size, look.get("weight", "normal")) / len(text)) * 0.97)
    )
    return [(line, size, look) for line in textwrap.wrap(text, characters, break_on_hyphens=False)]


class _Pen:
    """Sets lines one under the other; lengths in points, from the upper left corner."""

    def __init__(self, width: float):
        self.width, self.down = width, MARGIN_PT
        self._texts: list[tuple[float, float, str, dict]] = []
        self._rules: list[tuple[float, float, float, float]] = []

    def rule(self, start: float, end: float, thickness: float, gap: float = PAD_PT / 2) -> None:
        self.down += gap
        self._rules.append((start, end, self.down, thickness))
        self.down += gap

    def line(self, pieces: list[Piece], lefts: list[float]) -> None:
        self.down += SIZE * LEADING
        for piece in pieces:
            left, right = lefts[piece.column], lefts[piece.until]
            x = {"left": left, "center": (left + PAD_PT + right) / 2, "right": right}[piece.align]
            look = {"ha": piece.align, "color": piece.colour, "weight": piece.weight, "style": piece.style}
            self._texts.append((x, self.down, piece.text, {"size": SIZE, **look}))

    def paragraphs(self, lines: list[tuple[str, float, dict]]) -> None:
        for text, size, look in lines:
            self.down += size * LEADING
            self._texts.append((0, self.down, text, {"size": size, "ha": "left", **look}))

    def drawn(self) -> Figure:
        """What was set, on a figure of its size."""
        width, height = self.width + 2 * MARGIN_PT, self.down + MARGIN_PT
        figure = plt.figure(figsize=(width / 72, height / 72))
        for x, down, text, look in self._texts:
            y = 1 - (down - 0.3 * look["size"]) / height
            figure.text((MARGIN_PT + x) / width, y, text, va="baseline", parse_math=False, **look)
        for start, end, down, thickness in self._rules:
            xs, y = [(MARGIN_PT + x) / width for x in (start, end)], 1 - down / height
            figure.add_artist(Line2D(xs, [y, y], color="black", linewidth=thickness))
        return figure
