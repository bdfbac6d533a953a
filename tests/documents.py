"""The documentation's pages, and their code blocks by language and by the files that they stand for."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "config/README.md", *(f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md")))]


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


def copy_project(folder: Path) -> Path:
    """Copy what a checkout has, less tests, into a folder, which is returned."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder
