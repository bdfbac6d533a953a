"""Toy archives and sources for the tests of data_prep.fetch.fetch_command."""

import hashlib
import io
import tarfile


def tar_bytes(members, mode="w:gz"):
    """A tar archive: files by name, or ready-made TarInfos (without content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def source(address, archives, *expects, by_hand=None):
    """A source's settings: archives by name, and alternatives of path -> content (None: no checksum)."""
    return {
        "title": "Toys (A. Author, 2001)",
        "format": "image_folder",
        "archives": [
            {"file": name, "url": f"{address}/{name}", "md5": hashlib.md5(content).hexdigest()}
            for name, content in archives.items()
        ],
        "expects": [
            {
                path: None if content is None else hashlib.md5(content).hexdigest()
                for path, content in group.items()
            }
            for group in expects
        ],
        "check_md5": True,
        "by_hand": by_hand,
        "generate": None,
    }
