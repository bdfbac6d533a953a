"""Where a build writes, and what the store says of itself."""

import os
from dataclasses import dataclass
from pathlib import Path

from cld.runtime.errors import InputError


@dataclass(frozen=True)
class Target:
    """The files of one store.

    Raises:
        InputError: one of them has no name, or two are the same.

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

    def __post_init__(self) -> None:
        for path in (self.store, self.manifest, self.report):
            if not path.name:
                raise InputError(f"{path}: is a folder; name a file in it")
        files = (self.store, self.manifest, self.report, self.report.with_suffix(".json"))
        places = [os.path.abspath(path) for path in files]
        for path in files:
            if places.count(os.path.abspath(path)) > 1:
                raise InputError(
                    f"{path}: store, manifest, report and the report's JSON cannot be the same file; name "
                    "another"
                )
