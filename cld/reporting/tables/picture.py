"""A table as a picture: set like a printed one, with rules above, below and under its head."""

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from cld.reporting.markup import HEAD
from cld.reporting.style import TEXT_WIDTH, plt, save

GREY, PALE, WARNING = "#666666", "#999999", "#b04a00"
#: In points.
SIZE, SMALL, LEADING = 7.0, 6.0, 1.5
PAD_PT, MARGIN_PT = 5.0, 6.0


@dataclass(frozen=True)
class Piece:
    """A text in a line: the ``column`` of the grid where it begins, and how many it spans."""

    text: str
    column: int
    span: int = 1
    align: str = "right"
    colour: str = "black"
    weight: str = "normal"
    style: str = "normal"


def draw(shown: Mapping, path: str | Path) -> None:
    """Draw what :func:`cld.reporting.tables.render.view` shows, as wide as its columns need, and save it."""
    with warnings.catch_warnings(action="ignore"):  # of what no font has: save says it
        figure = drawn(shown)
    save(figure, [Path(path)])


def drawn(shown: Mapping) -> Figure:
    """The picture as a figure."""
    step = len(shown["heads"])  # columns of the picture to a column of the table
    n_columns = 1 + step * len(shown["columns"])
    starts = range(1, n_columns, step)
    others = PALE if shown["generated"] else GREY  # paler still where it is but a target
    corner = Piece(shown["row_header"], 0, align="left")

    def numbers(cell: Mapping, start: int) -> list[Piece]:
        """Our number, and what stands beside it."""
        colour, weight = WARNING if cell["missing"] else "black", "bold" if cell["best"] else "normal"
        beside = [Piece(text, start + n, colour=others) for n, text in enumerate(cell["others"], 1)]
        return [Piece(cell["ours"], start, colour=colour, weight=weight), *beside]

    names = _names(shown["columns"], starts, "right" if step == 1 else "center")
    head = []
    if step == 1:
        names[-1].append(corner)
    else:  # what stands in the columns below their names
        ours, *rest = shown["heads"]
        titles = {"ours": ours, "others": rest, "missing": False, "best": False}
        head = [[corner, *(piece for start in starts for piece in numbers(titles, start))]]
    grid = []
    for group in shown["groups"]:
        if group["label"]:
            grid.append([Piece(group["label"], 0, n_columns, "left", style="italic")])
        for row in group["rows"]:
            pieces = [numbers(cell, start) for start, cell in zip(starts, row["cells"], strict=True)]
            grid.append([Piece(row["label"], 0, align="left"), *chain(*pieces)])
    references = [[Piece(one["label"], 0, align="left"), numbers(one, 1)[0]] for one in shown["references"]]
    widths = _widths([*names, *head, *grid, *references], n_columns)
    width = max(sum(widths), TEXT_WIDTH * 72 - 2 * MARGIN_PT)
    lefts = [sum(widths[:n]) * width / sum(widths) for n in range(n_columns + 1)]

    page = _Page(width, lefts)
    page.paragraph(shown["title"], SIZE + 1, weight="bold")
    page.paragraph(shown["caption"], SIZE)
    page.rule(0, width, 1.0)
    page.lines(names)
    for start in starts if step > 1 else ():
        page.rule(lefts[start] + PAD_PT, lefts[start + step], 0.4, gap=0)
    page.lines(head)
    page.rule(0, width, 0.6)
    page.lines(grid)
    if references:
        page.rule(0, width, 0.6)
    page.lines(references)
    page.rule(0, width, 1.0)
    if shown["checks"]:
        page.paragraph(shown["checks_title"], SMALL, weight="bold")
        for check in shown["checks"]:
            page.paragraph(f"{check.text}: {check.verdict.upper()}; {check.evidence}", SMALL)
        page.down += PAD_PT
    page.paragraph(shown["warning"], SMALL, color=WARNING)
    for note in shown["notes"]:
        page.paragraph(note, SMALL, color=GREY)
    return page.finished()


def _names(columns: Sequence[str], starts: range, align: str) -> list[list[Piece]]:
    """The columns' names, in as many lines as the longest needs; the last lines are level."""
    wrapped = [textwrap.wrap(name, HEAD) or [""] for name in columns]
    n_lines = max(map(len, wrapped))
    lines: list[list[Piece]] = [[] for _ in range(n_lines)]
    for start, texts in zip(starts, wrapped, strict=True):
        for line, text in zip(lines[n_lines - len(texts) :], texts, strict=True):
            line.append(Piece(text, start, starts.step, align))
    return lines


def _text_width(text: str, size: float, weight: str = "normal", style: Any = "normal") -> float:
    """Width of a text, in points."""
    font = FontProperties(size=size, weight=weight, style=style)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]


def _widths(lines: list[list[Piece]], n_columns: int) -> list[float]:
    """Each column's width in points: what its texts need, and their share of texts that span several."""
    widths = [0.0] * n_columns
    for piece in sorted((piece for line in lines for piece in line), key=lambda piece: piece.span):
        if piece.column == 0 and piece.span > 1:
            continue  # a heading runs over the whole width
        columns = slice(piece.column, piece.column + piece.span)
        need = _text_width(piece.text, SIZE, piece.weight, piece.style) + 2 * PAD_PT
        lack = max(need - sum(widths[columns]), 0)
        widths[columns] = [width + lack / piece.span for width in widths[columns]]
    return widths


class _Page:
    """A figure that grows downwards, line by line; ``down`` is how far, in points as all lengths."""

    def __init__(self, width: float, lefts: Sequence[float]):
        self.width, self.lefts, self.down = width, lefts, MARGIN_PT
        self._axis = plt.figure().add_axes((0, 0, 1, 1))
        self._axis.axis("off")

    def rule(self, start: float, end: float, thickness: float, gap: float = PAD_PT / 2) -> None:
        self.down += gap
        self._axis.plot([start, end], [self.down, self.down], color="black", linewidth=thickness)
        self.down += gap

    def lines(self, lines: Sequence[Sequence[Piece]]) -> None:
        """Set lines of the grid; ``lefts`` is where its columns begin, and the last one ends."""
        for line in lines:
            self.down += SIZE * LEADING
            for piece in line:
                left, right = self.lefts[piece.column], self.lefts[piece.column + piece.span]
                x = {"left": left, "center": (left + PAD_PT + right) / 2, "right": right}[piece.align]
                look = {"color": piece.colour, "weight": piece.weight, "style": piece.style}
                self._text(x, piece.text, SIZE, ha=piece.align, **look)

    def paragraph(self, text: str, size: float, **look: str) -> None:
        """Set a text in lines that are no wider than the page."""
        if not text:
            return
        per_character = _text_width(text, size, look.get("weight", "normal")) / len(text)
        characters = max(20, int(self.width / per_character * 0.97))
        for line in textwrap.wrap(text, characters, break_on_hyphens=False):
            self.down += size * LEADING
            self._text(0, line, size, ha="left", **look)

    def _text(self, x: float, text: str, size: float, **look: str) -> None:
        self._axis.text(x, self.down - 0.3 * size, text, size=size, va="baseline", parse_math=False, **look)

    def finished(self) -> Figure:
        """The figure, cut to what was set."""
        width, height = self.width + 2 * MARGIN_PT, self.down + MARGIN_PT
        self._axis.set(xlim=(-MARGIN_PT, self.width + MARGIN_PT), ylim=(height, 0))
        self._axis.figure.set_size_inches(width / 72, height / 72)
        return self._axis.figure
