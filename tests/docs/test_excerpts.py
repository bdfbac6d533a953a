"""Lines of code that a page of the documentation quotes are lines of the source."""

from pathlib import Path

import pytest
from documents import code_blocks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how_cld_works.md"
EXCERPTS = [block for block in code_blocks(PAGE.read_text()) if block.language == "python"]


@pytest.mark.parametrize("number", range(len(EXCERPTS)))
def test_what_is_quoted_is_in_the_source(number):
    path = next(block.path for block in reversed(EXCERPTS[: number + 1]) if block.path)
    text = EXCERPTS[number].text
    assert text in (ROOT / path).read_text(), f"{PAGE.name} quotes lines that {path} no longer has:\n{text}"
