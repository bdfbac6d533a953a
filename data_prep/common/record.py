"""What a build has read, what it met, and what it tells: the part that all builders share."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.image_files import FileDigest
from data_prep.common.problems import ProblemLog
from data_prep.common.report import write_report
from data_prep.common.settings import Settings
from data_prep.common.target import Target


@dataclass
class BuildRecord:
    """The record of one build.

    Attributes:
        root: folder of the source.
        target: where the build writes.
        settings: the build's, as from :func:`data_prep.common.settings.build_settings`.
        unit: what problems are counted in, in the plural ("images").
        expected: images by split that the publication states; None: any number.
        expected_by: who states them, for the report.
        total: units that the build sets out with, bad ones included.
        files: the files read.
        log: bad input.
        converted: images stored otherwise than they came, by what was done.
        details: further tables of the report: rows by title.
        notes: what else a reader of the report should know.
    """

    root: Path
    target: Target
    settings: Settings
    unit: str
    expected: Mapping[str, int] = field(default_factory=dict)
    expected_by: str = "published"
    total: int = 0
    files: list[FileDigest] = field(default_factory=list)
    log: ProblemLog = field(default_factory=ProblemLog)
    converted: Counter = field(default_factory=Counter)
    details: dict[str, list[dict]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.expected = {split: n for split, n in self.expected.items() if n is not None}

    def check_problems(self, max_bad_share: float, **facts: object) -> None:
        """Fail when too many units are bad; a report that names each file is written first.

        Args:
            max_bad_share: of the units, 0..1.
            facts: further arguments of :meth:`facts`.

        Raises:
            InputError: with a summary by reason.
        """
        try:
            self.log.check(self.root.name, self.total, self.unit, max_bad_share)
        except InputError as error:
            write_report(self.target.report, self.facts("failed", **facts))
            raise InputError(f"{error}\n  every file: {self.target.report}") from None

    def source(self) -> dict:
        """The files read, as a checksum of their paths, sizes and contents; the root by its name only."""
        files = sorted(self.files)
        lines = "".join(f"{file.path} {file.size} {file.sha256}\n" for file in files)
        return {
            "root": self.root.resolve().name,
            "files": len(files),
            "bytes": sum(file.size for file in files),
            "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        }

    def config(self) -> dict:
        """The settings as JSON values."""
        return dict(vars(self.settings))

    def description(self, classes: Sequence[str]) -> dict:
        """The fields of :class:`cld.data.Description` that all builders fill alike."""
        return {
            "dataset": self.target.dataset,
            "preset": self.target.preset,
            "classes": list(classes),
            "sources": self.source(),
            "config": self.config(),
        }

    def facts(
        self,
        status: str,
        classes: Sequence[str] = (),
        labels: Mapping[str, np.ndarray] | None = None,
        **more: object,
    ) -> dict:
        """What the report tells; see :mod:`data_prep.common.report`.

        Args:
            status: "built" or "failed".
            classes: names, in the order of the labels.
            labels: by split, int64 (N,), -1 where an image has none.
            more: facts that only one builder has.
        """
        labels = labels or {}
        counts = {
            split: np.bincount(values[values >= 0], minlength=len(classes))
            for split, values in labels.items()
        }
        reasons = {
            reason: [{"unit": p.unit, "path": p.path, "detail": p.detail} for p in sorted(problems)]
            for reason, problems in self.log.by_reason().items()
        }
        return {
            "status": status,
            "dataset": self.target.dataset,
            "preset": self.target.preset,
            "source": self.source(),
            "counts": {
                "expected": dict(self.expected),
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
                "bad": self.log.bad_units,
                "reasons": reasons,
            },
            "converted": dict(self.converted.most_common()),
            "details": self.details,
            "notes": self.notes,
            "settings": self.config(),
            **more,
        }
