"""Tables in Markdown."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"[\\`|*<\[&~]|(?<!\w)_|_(?!\w)")  # an underscore within a word is one


def escaped(text: str) -> str:
    """``text`` on one line, with the characters escaped that mean something in Markdown."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table. None becomes a dash, a list its entries separated by commas."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(_cell(value) for value in line) + " |\n" for line in lines)


def _cell(value: object) -> str:
    text = "–" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return escaped(text)
