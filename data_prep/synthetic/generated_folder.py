"""Folders of generated upstream files: complete or absent, and never mistaken for the published data."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cld.runtime.errors import InputError

MARKER = "generated.json"
"""Tells generated files from the published ones: which format was written, with which settings."""


@contextmanager
def generated_folder(root: str | Path, file_format: str, settings: object) -> Iterator[Path]:
    """Yield an empty folder beside ``root``; on success it takes the place of ``root``, marked as generated.

    Its name, ``.<name>.partial``, is fixed, so what a killed generator leaves behind the next one removes.

    Raises:
        InputError: ``root`` is a file, or a folder with anything but generated files in it.
    """
    root = Path(root)
    if root.exists() and not (root.is_dir() and ((root / MARKER).is_file() or not any(root.iterdir()))):
        raise InputError(f"{root}: exists and was not generated; choose another folder, or remove it first")
    partial, old = (root.parent / f".{root.name}.{state}" for state in ("partial", "old"))
    root.parent.mkdir(parents=True, exist_ok=True)
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        content = {"format": file_format, "settings": vars(settings)}
        (partial / MARKER).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        if root.exists():
            os.rename(root, old)
        os.rename(partial, root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
