"""Lines of code that a page of the documentation quotes are lines of the source."""

from pathlib import Path
from textwrap import indent

import pytest
from documents import code_blocks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how_cld_works.md"
EXCERPTS = [block for block in code_blocks(PAGE.read_text()) if block.language == "python"]


@pytest.mark.parametrize("number", range(len(EXCERPTS)))
def test_what_is_quoted_is_in_the_source(number):
    path = next(block.path for block in reversed(EXCERPTS[: number + 1]) if block.path)
    text, source = EXCERPTS[number].text, (ROOT / path).read_text()
    is_there = any(indent(text, " " * n) in source for n in (0, 4, 8))
    assert is_there, f"{PAGE.name} quotes lines that {path} no longer has:\n{text}"
