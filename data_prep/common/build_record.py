"""What a build read, skipped and reports, and where it writes: the part that all builders share."""

import hashlib
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cld.config import load_dataset, load_source
from cld.data import Split, StoreInfo, write_store
from cld.runtime.errors import InputError
from data_prep.common.manifest import write_manifest
from data_prep.common.report import write_report
from data_prep.common.settings import Settings
from data_prep.common.source_files import FileDigest, PublishedMd5, published_md5s

NAMES_SHOWN = 10
PATHS_SHOWN = 3


@dataclass(frozen=True)
class Target:
    """The files of one store, and the dataset's and the preset's name."""

    store: Path  # HDF5, written last: where it is, the build was completed
    manifest: Path  # CSV, one row an image
    report: Path  # Markdown; the same as JSON goes beside it
    dataset: str
    preset: str


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with one ``unit`` (a frame, an image): which file, why, and what its reader said."""

    unit: str
    path: str
    reason: str
    detail: str = ""


def problem(unit: str, path: Path, root: Path, reason: str, detail: str = "") -> Problem:
    """A problem whose texts do not say where ``root`` lies, so that a report is the same wherever it does."""
    return Problem(unit, path.relative_to(root).as_posix(), reason, without_root(detail, root))


def without_root(text: str, root: Path) -> str:
    """``text`` with the paths in it relative to ``root``."""
    return text.replace(f"{root}{os.sep}", "")


@dataclass
class BuildRecord:
    """The record of one build."""

    root: Path  # folder of the source
    target: Target
    settings: Settings
    unit: str  # what problems are counted in, in the plural ("images")
    expected: Mapping[str, int | None] = field(default_factory=dict)  # images by split; None: any number
    expected_by: str = "published"
    total: int = 0  # units that the build sets out with, bad ones included
    files: list[FileDigest] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    converted: Counter = field(default_factory=Counter)  # images, by what was done to them
    details: dict[str, list[dict]] = field(default_factory=dict)  # tables of the report
    notes: list[str] = field(default_factory=list)

    @property
    def bad_units(self) -> int:
        """Number of units with a problem; one with several counts once."""
        return len({problem.unit for problem in self.problems})

    def _problems_by_reason(self) -> dict[str, list[Problem]]:
        """The commonest reason first."""
        groups = defaultdict(list)
        for entry in self.problems:
            groups[entry.reason].append(entry)
        return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))

    def check_problems(self, max_bad_share: float, **facts: Any) -> None:
        """Fail when a larger share of the units is bad; a report that names each file is written first.

        Raises:
            InputError: the first line says how many; one more line a reason, with the first paths.
        """
        bad = self.bad_units
        if bad <= max_bad_share * self.total:
            for line in self._problem_lines():
                print(f"note: {self.root.name}: left out: {line}", file=sys.stderr, flush=True)
            return
        write_report(self.target.report, self.facts("failed", **facts))
        lines = [
            f"{self.root.name}: {bad} of {self.total} {self.unit} are bad ({bad / self.total:.1%}), more "
            f"than max_bad_share ({max_bad_share:.1%}); fix the files below, or raise max_bad_share"
        ]
        lines += self._problem_lines()
        # of a failed job Snakemake removes the Markdown, which is an output, and not the JSON beside it
        listing = self.target.report.with_suffix(".json")
        raise InputError(*lines, f"every file, and why: {listing}")

    def _problem_lines(self) -> list[str]:
        lines = []
        for reason, problems in self._problems_by_reason().items():
            paths = list(dict.fromkeys(entry.path for entry in problems))
            lines.append(f"{len(problems)} × {reason}: {some(paths, PATHS_SHOWN)}")
        return lines

    def warn(self, note: str) -> None:
        """Add to the notes what a user should see at once: it is printed too."""
        self.notes.append(note)
        print(f"note: {self.root.name}: {note}", file=sys.stderr, flush=True)

    def published_md5s(self) -> dict[str, PublishedMd5]:
        """As :func:`published_md5s` of the dataset's source; a note says where files are not held to them."""
        preset, source = self.target.preset, load_dataset(self.target.preset, self.target.dataset)["source"]
        if not load_source(preset, source)["check_md5"]:
            self.notes.append(
                f"files were not held to their published MD5s: check_md5 of config/sources/{source}.yaml is "
                "false"
            )
        return published_md5s(preset, source)

    def require_counts(self, splits: Mapping[str, Sized]) -> None:
        """Check the number of images that each split has upstream, bad ones included.

        Raises:
            InputError: a split is empty or has another number of images than expected.
        """
        for split, images in splits.items():
            if len(images) == 0:
                raise InputError(f"{self.root}: split '{split}' is empty; fetch the files again")
            if self.expected.get(split) not in (None, len(images)):
                raise InputError(
                    f"{self.root}: {len(images)} images in split '{split}', expected {self.expected[split]}; "
                    f"fetch the files again, or change build.expect in "
                    f"config/datasets/{self.target.dataset}.yaml if this is another edition"
                )

    def write_store_of_arrays(
        self, splits: Mapping[str, Split], names: Mapping[str, Sequence[str]], classes: Sequence[str]
    ) -> StoreInfo:
        """Write manifest, report and a store of images of one size, with the settings' ``mean`` and ``std``.

        ``splits`` are in the order of the manifest; ``names`` are the images' upstream.
        """
        self.write_manifest_and_report(
            names, {split: group.labels for split, group in splits.items()}, classes
        )
        given = {}
        if self.settings.mean is not None:  # or they are measured
            given = {"mean": tuple(self.settings.mean), "std": tuple(self.settings.std)}
        return write_store(self.target.store, splits, **self.description(classes), **given)

    def write_manifest_and_report(
        self, names: Mapping[str, Sequence[str]], labels: Mapping[str, np.ndarray], classes: Sequence[str]
    ) -> None:
        """Write what goes beside the store, and note missing classes; arguments as of ``write_manifest``."""
        self.note_missing_classes(labels, classes)
        write_manifest(self.target.manifest, names, labels, classes)
        write_report(self.target.report, self.facts("built", classes, labels))

    def note_missing_classes(self, labels: Mapping[str, np.ndarray], classes: Sequence[str]) -> None:
        """Note the classes that a labelled split has no image of."""
        for split, values in labels.items():
            present = set(values[values >= 0].tolist())
            missing = [name for label, name in enumerate(classes) if label not in present]
            if present and missing:
                self.warn(f"split {split} has no image of {some(missing, NAMES_SHOWN)}")

    def description(self, classes: Sequence[str]) -> dict:
        """The fields of :class:`cld.data.Description` that all builders fill alike."""
        return {
            "dataset": self.target.dataset,
            "preset": self.target.preset,
            "classes": list(classes),
            "sources": self._source(),
            "config": dict(vars(self.settings)),
        }

    def _source(self) -> dict:
        """The files read, as a checksum of their paths, sizes and contents; the root by its name only."""
        files = sorted(self.files)
        lines = "".join(f"{file.path} {file.size} {file.sha256}\n" for file in files)
        return {
            "root": self.root.resolve().name,
            "files": len(files),
            "bytes": sum(file.size for file in files),
            "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        }

    def facts(
        self,
        status: str,
        classes: Sequence[str] = (),
        labels: Mapping[str, np.ndarray] | None = None,
        **more: object,
    ) -> dict:
        """What the report holds; ``more`` are facts that only one builder has.

        Args:
            status: "built" or "failed".
            labels: by split, int64 (N,), -1 where an image has none.
        """
        labels = labels or {}
        counts = {
            split: np.bincount(values[values >= 0], minlength=len(classes))
            for split, values in labels.items()
        }
        return {
            "status": status,
            "dataset": self.target.dataset,
            "preset": self.target.preset,
            "source": self._source(),
            "counts": {
                "expected": {split: n for split, n in self.expected.items() if n is not None},
                "expected_by": self.expected_by,
                "splits": {split: len(values) for split, values in labels.items()},
                "unlabelled": {split: int((values < 0).sum()) for split, values in labels.items()},
                "classes": {
                    name: {split: int(counts[split][label]) for split in counts}
                    for label, name in enumerate(classes)
                },
            },
            "problems": {
                "unit": self.unit,
                "total": self.total,
                "bad": self.bad_units,
                "reasons": {
                    reason: [{"unit": p.unit, "path": p.path, "detail": p.detail} for p in sorted(problems)]
                    for reason, problems in self._problems_by_reason().items()
                },
            },
            "converted": dict(self.converted.most_common()),
            "details": self.details,
            "notes": self.notes,
            "settings": dict(vars(self.settings)),
            **more,
        }


def some(names: Sequence[str], most: int) -> str:
    """The first ``most`` names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
