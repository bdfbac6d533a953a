"""The files of a preset, as the index page links to them and as its commands build them."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

#: How every command of the page starts; on a cluster ``--profile slurm`` replaces ``--cores 2``.
SNAKEMAKE = "snakemake --cores 2"


class PresetFiles:
    """Where the files of a preset are, and how the page and its commands name them.

    Args:
        results: the results folder, as the commands are to name it.
        preset: its scale.
        page: the file of the page: links in it are relative to its folder.
    """

    def __init__(self, results: str | Path, preset: str, page: str | Path):
        self.results, self.preset = Path(results), preset
        self._start = Path(page).absolute().parent

    def __truediv__(self, path: str) -> Path:
        """A file of the preset's folder."""
        return self.results / self.preset / path

    def links(self, paths: Mapping[str, Path]) -> list[dict[str, str]]:
        """Links to those of the files that exist, by their labels."""
        return [
            {"label": label, "href": quote(os.path.relpath(path.absolute(), self._start))}
            for label, path in paths.items()
            if path.exists()
        ]

    def build(self, path: str) -> str:
        """The command that builds a file of the preset's folder."""
        return f"{SNAKEMAKE} {shlex.quote(str(self / path))}"

    def rebuild(self, rule: str, path: str) -> str:
        """The command that builds a file after running again those jobs of ``rule`` that it needs."""
        return f"{SNAKEMAKE} --forcerun {rule} -- {shlex.quote(str(self / path))}"
