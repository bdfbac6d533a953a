"""What every Kitchen-HC build does: collect crops by split, check them, write manifest, report and store."""

import dataclasses
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cld.errors import InputError
from cld.store import Split, StoreInfo, content_checksum, write_store
from data_prep.build.class_names import KEPT, NOT_KEPT, UNKNOWN, ClassNames
from data_prep.build.frame_crops import Crops
from data_prep.build.image_files import FileDigest
from data_prep.build.instances import Instance, write_manifest
from data_prep.build.problems import ProblemLog
from data_prep.build.report import write_report
from data_prep.build.settings import BuildSettings

PUBLISHED = {"train": 20_800, "val": 4_000, "test": 14_400}
"""Kitchen-HC's instances (supplement, section 1)."""


@dataclass(frozen=True)
class Target:
    """Where a build writes, and what the store says of itself. JSON lies beside the Markdown report."""

    store: Path
    manifest: Path
    report: Path
    dataset: str
    preset: str


@dataclass
class StoreBuild:
    """A build in the making.

    Attributes:
        root: folder of the source.
        settings: the build's.
        names: the classes.
        target: where to write.
        unit: what problems are counted in, in the plural ("annotated frames").
        splits: names of the splits, in the order of the manifest.
        total: units that the build sets out with, bad ones included.
        details: the report's tables that only this kind of source has: rows by title.
        notes: what else a reader of the report should know.
    """

    root: Path
    settings: BuildSettings
    names: ClassNames
    target: Target
    unit: str
    splits: tuple[str, ...]
    total: int = 0
    details: dict[str, list[dict]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    log: ProblemLog = field(default_factory=ProblemLog)
    files: list[FileDigest] = field(default_factory=list)
    dropped: Counter = field(default_factory=Counter)
    n_clipped: int = 0
    instances: dict[str, list[Instance]] = field(init=False)
    images: dict[str, list[np.ndarray]] = field(init=False)

    def __post_init__(self) -> None:
        self.instances = {split: [] for split in self.splits}
        self.images = {split: [] for split in self.splits}

    def add(self, split: str, crops: Crops) -> None:
        """Add what became of one frame or image."""
        self.instances[split] += crops.instances
        self.images[split] += crops.images
        self.dropped += crops.dropped
        self.n_clipped += crops.n_clipped
        self.log.extend(crops.problems)
        self.files += crops.files

    def check_problems(self) -> None:
        """Fail when too many units are bad; a report that names each file is written first.

        Raises:
            InputError: with a summary by reason.
        """
        try:
            self.log.check(self.root.name, self.total, self.unit, self.settings.max_bad_share)
        except InputError as error:
            write_report(self.target.report, self._facts("failed", ""))
            raise InputError(f"{error}\n  every file: {self.target.report}") from None

    def finish(self) -> StoreInfo:
        """Write manifest, report and, last, the store: where the store is, the build was completed.

        Raises:
            InputError: too many problems, or a split without instances.
        """
        self.check_problems()
        for split, instances in self.instances.items():
            if not instances:
                dropped = ", ".join(f"{n} {reason}" for reason, n in self.dropped.most_common()) or "nothing"
                raise InputError(
                    f"{self.root}: no instance is left in split '{split}'; loosen the filters or change the "
                    f"split (dropped by the settings: {dropped}; bad {self.unit}: {self.log.bad_units})"
                )
            missing = sorted(set(self.names.classes) - {self.names.classes[i.label] for i in instances})
            self.notes += [f"split {split} has no instance of {name}" for name in missing]
        splits = {
            split: Split(np.stack(self.images[split]), np.array([i.label for i in instances], dtype=np.int64))
            for split, instances in self.instances.items()
        }
        target = self.target
        write_manifest(target.manifest, self.instances, self.names.classes)
        write_report(target.report, self._facts("built", content_checksum(splits)))
        return write_store(
            target.store,
            splits,
            dataset=target.dataset,
            preset=target.preset,
            classes=self.names.classes,
            sources=self._source(),
            config=self._config(),
        )

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

    def _config(self) -> dict:
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self.settings).items()
        }

    def _facts(self, status: str, checksum: str) -> dict:
        classes = self.names.classes
        counts = {split: Counter(i.label for i in instances) for split, instances in self.instances.items()}
        reasons = {
            reason: [{"unit": p.unit, "path": p.path, "detail": p.detail} for p in sorted(problems)]
            for reason, problems in self.log.by_reason().items()
        }
        spellings = self.names.spellings
        return {
            "status": status,
            "dataset": self.target.dataset,
            "preset": self.target.preset,
            "checksum": checksum,
            "source": self._source(),
            "counts": {
                "published": PUBLISHED,
                "splits": {split: len(instances) for split, instances in self.instances.items()},
                "classes": {
                    name: {split: counts[split][label] for split in self.splits}
                    for label, name in enumerate(classes)
                },
            },
            "dropped": dict(self.dropped.most_common()),
            "clipped": self.n_clipped,
            "names": {
                "renamed": {
                    spelling: {"class": name, "count": spellings[KEPT][spelling]}
                    for spelling, name in self.names.renamed().items()
                },
                "not_kept": dict(spellings[NOT_KEPT].most_common()),
                "unknown": dict(spellings[UNKNOWN].most_common()),
            },
            "problems": {
                "unit": self.unit,
                "total": self.total,
                "bad": self.log.bad_units,
                "reasons": reasons,
            },
            "geometry": _geometry(self.instances, classes),
            "details": self.details,
            "notes": self.notes,
            "settings": self._config(),
        }


def _geometry(splits: dict[str, list[Instance]], classes: list[str]) -> dict:
    """By class: the median of each measure over the instances that have it, None where none has."""
    instances = [instance for group in splits.values() for instance in group]
    summary = {}
    for label, name in enumerate(classes):
        own = [instance for instance in instances if instance.label == label]
        summary[name] = {}
        for measure in ("distance_m", "visible_fraction", "iou_3d"):
            values = np.array([getattr(instance, measure) for instance in own])
            known = values[~np.isnan(values)]
            summary[name][measure] = {
                "median": round(float(np.median(known)), 4) if len(known) else None,
                "unknown": len(values) - len(known),
            }
    return summary
