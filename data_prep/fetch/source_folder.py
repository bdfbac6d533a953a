"""A source's folder: which of the expected files are there, their checksums, and the receipt."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.common.image_tree import files_below, fingerprint
from data_prep.common.source_files import PublishedMd5, reading, require_md5

Alternative = Mapping[str, str | None]
"""Paths in the folder that belong together, each with its MD5 or None."""


def md5_of(path: Path) -> str:
    """In hexadecimal digits."""
    with open(path, "rb") as file:
        # not for security: the published sums are MD5, which systems that forbid it otherwise allow
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def own_fingerprint(root: str | Path, source: Mapping) -> str | None:
    """Changes with one's own images, so that new ones are noticed; publishers' files have none."""
    is_own = source["format"] == "image_folder" and Path(root).is_dir()
    return fingerprint(Path(root)) if is_own else None


@dataclass(frozen=True)
class SourceFolder:
    """The folder ``root`` of the source ``name`` with its settings (:func:`cld.config.load_source`)."""

    root: Path
    name: str
    source: Mapping

    def complete_alternative(self) -> Alternative | None:
        """The first alternative of which every path is there, its checksums verified; None: there is none."""
        for alternative in self.source["expects"]:
            if not self.missing_paths(alternative):
                for path, md5 in alternative.items():
                    if md5 is not None:
                        self.verify(path, md5)
                return alternative
        return None

    def missing_paths(self, alternative: Alternative) -> list[str]:
        """The paths of an alternative that are not there; what has a checksum must be a file."""
        missing = []
        for path, md5 in alternative.items():
            with reading(self.root / path):
                is_there = (self.root / path).is_file() or (md5 is None and (self.root / path).is_dir())
            missing += [] if is_there else [path]
        return missing

    def verify(self, path: str, md5: str) -> None:
        """Refuse a file whose MD5 is not the published one, unless the source says ``check_md5: false``."""
        if self.source["check_md5"]:
            with reading(self.root / path):
                found = md5_of(self.root / path)
            require_md5(self.root / path, found, PublishedMd5(md5, self.name))

    def receipt(self, alternative: Alternative) -> dict:
        """What is known of a complete source. The same files give the same, wherever and whenever.

        Returns:
            ``source``, ``title``, ``format``; ``alternative``: its paths; ``files``: each with its size in
            bytes and MD5 (None where none was compared), a folder with the number of files in it,
            hidden ones left out; ``archives``: as configured; ``own_images``: their fingerprint, or None.
        """
        return {
            "source": self.name,
            "title": self.source["title"],
            "format": self.source["format"],
            "alternative": list(alternative),
            "files": [self._entry(path, md5) for path, md5 in alternative.items()],
            "archives": self.source["archives"],
            "own_images": own_fingerprint(self.root, self.source),
        }

    def _entry(self, path: str, md5: str | None) -> dict:
        if (self.root / path).is_dir():
            return {"path": path, "files": sum(1 for _ in files_below(self.root / path))}
        compared = md5 if self.source["check_md5"] else None
        return {"path": path, "size": (self.root / path).stat().st_size, "md5": compared}

    def by_hand_error(self) -> InputError:
        """The error for files that a person must fetch: what, where to, and what each alternative lacks."""
        lines = [
            f"{self.root}: {self.source['title']} must be put into this folder by hand, or "
            f"data.paths.{self.name} (or data.root, the folder of all sources) in config/config.yaml must "
            f"name the folder that has it. {self.source['by_hand'].strip()}"
        ]
        for number, alternative in enumerate(self.source["expects"], 1):
            missing = ", ".join(self.missing_paths(alternative))
            lines.append(f"alternative {number}: looked for {', '.join(alternative)}; missing: {missing}")
        return InputError(*lines)
