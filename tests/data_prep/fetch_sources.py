"""Toy archives and sources for the tests of data_prep.fetch.fetch_command."""

import hashlib
import io
import tarfile

import yaml


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
        "by_hand": by_hand,
        "generate": None,
    }


def write_config(folder, settings):
    """A configuration folder with the source ``toy`` and the preset ``paper``."""
    preset = {
        "title": "t",
        "seeds": [0],
        "run": {},
        "methods": {},
        "evaluation": {},
        "cluster": {"device": "GPU", "parallel_jobs": 1, "macs_per_s": 1e9},
        "all_evaluations": {"dataset": "toy", "methods": [], "detection": []},
        "sources": {},
        "datasets": {},
    }
    for path, content in {"presets/paper": preset, "sources/toy": settings}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{path}.yaml").write_text(yaml.safe_dump(content))
    return folder
