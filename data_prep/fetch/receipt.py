"""The receipt of a fetch: what is there. The same files give the same receipt, wherever and whenever."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cld.runtime.files import write_text
from data_prep.fetch.contents import Alternative, n_files


def make_receipt(name: str, source: Mapping, root: Path, alternative: Alternative) -> dict:
    """What is known of a complete source.

    Returns:
        ``source``, ``title``, ``format``; ``alternative``: its paths; ``files``: each with its size in bytes
        and MD5 (None where the publisher gives none), a folder with the number of files in it; ``archives``:
        as configured.
    """
    return {
        "source": name,
        "title": source["title"],
        "format": source["format"],
        "alternative": list(alternative),
        "files": [_entry(root, path, md5) for path, md5 in alternative.items()],
        "archives": source["archives"],
    }


def _entry(root: Path, path: str, md5: str | None) -> dict:
    if (root / path).is_dir():
        return {"path": path, "files": n_files(root / path)}
    return {"path": path, "size": (root / path).stat().st_size, "md5": md5}


def write_receipt(path: Path, receipt: Mapping) -> None:
    """Write a receipt as JSON, atomically; a file that says the same already keeps its time of change.

    Raises:
        InputError: ``path`` cannot be written.
    """
    text = json.dumps(receipt, indent=2, ensure_ascii=False) + "\n"
    with suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return
    write_text(path, text)
