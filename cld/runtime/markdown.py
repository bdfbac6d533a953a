"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def escaped(text: str) -> str:
    """``text`` on one line, with the characters escaped that mean something in Markdown."""
    return "".join(f"\\{c}" if c in "\\`|*_<[&~" else c for c in " ".join(text.split()))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table. None becomes a dash, a list its entries separated by commas."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(_cell(value) for value in line) + " |\n" for line in lines)


def _cell(value: object) -> str:
    text = "–" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return escaped(text)
