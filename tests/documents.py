"""The code blocks of the documentation, by their language and by the files that they stand for."""

import re
from collections.abc import Iterator
from typing import NamedTuple


class Block(NamedTuple):
    """A fenced block: its language, its text, and the file that the line before it names, or None."""

    language: str
    text: str
    path: str | None


def code_blocks(markdown: str) -> Iterator[Block]:
    """Fenced blocks, in order; a line that ends with a path in backquotes and a colon names a block's file.

    A block of shell commands is no file.
    """
    fence = r"(?:`([\w./]+)`(?:, all of it)?:\n\n)?^```(\w*)\n(.*?)^```$"
    for match in re.finditer(fence, markdown, re.S | re.M):
        path, language, text = match.groups()
        yield Block(language, text, None if language == "sh" else path)
