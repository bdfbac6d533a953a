"""Where a build writes, and what the store says of itself."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """The files of one store.

    Attributes:
        store: HDF5 file; written last: where it is, the build was completed.
        manifest: CSV file, one row an image: where it came from.
        report: Markdown file; the same as JSON goes beside it.
        dataset: the store's name.
        preset: the scale it is for.
    """

    store: Path
    manifest: Path
    report: Path
    dataset: str
    preset: str
