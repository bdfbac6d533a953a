"""What every Kitchen-HC build does: collect crops by split, check them, write manifest, report and store."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cld.data import Split, StoreInfo, write_store
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from data_prep.common.build_record import BuildRecord, Problem
from data_prep.common.parallel import ordered_map
from data_prep.common.report import write_report
from data_prep.common.source_files import FileDigest
from data_prep.kitchen.class_names import ClassNames
from data_prep.kitchen.instances import Instance, write_manifest

PUBLISHED = {"train": 20_800, "val": 4_000, "test": 14_400}
"""Kitchen-HC's instances (supplement, section 1), in hundreds: shown in the report, not enforced."""


@dataclass
class Crops:
    """What became of a frame's boxes, or of an image.

    Attributes:
        instances: kept.
        images: their crops, uint8 (S, S, 3) each.
        dropped: boxes that the settings drop, by reason.
        n_clipped: boxes that reached beyond their frame and were cut at its border.
        problems: bad input.
        files: the files read.
    """

    instances: list[Instance] = field(default_factory=list)
    images: list[np.ndarray] = field(default_factory=list)
    dropped: Counter = field(default_factory=Counter)
    n_clipped: int = 0
    problems: list[Problem] = field(default_factory=list)
    files: list[FileDigest] = field(default_factory=list)


class StoreBuild:
    """A build in progress.

    Attributes:
        record: what was read and what was met.
        settings: the build's.
        names: the classes.
        splits: names of the splits, in the order of the manifest.
    """

    def __init__(self, record: BuildRecord, has_val_folder: bool = False):
        self.record, self.settings = record, record.settings
        self.names = ClassNames(self.settings)
        record.expected, record.expected_by = PUBLISHED, "supplement"
        has_val = has_val_folder or self.settings.val_share
        self.splits = ("train", "val", "test") if has_val else ("train", "test")
        self._instances: dict[str, list[Instance]] = {split: [] for split in self.splits}
        self._images: dict[str, list[np.ndarray]] = {split: [] for split in self.splits}
        self._dropped, self._n_clipped = Counter(), 0

    def check_problems(self) -> None:
        """Fail when too many units are bad; see :meth:`BuildRecord.check_problems`."""
        self.record.check_problems(self.settings.max_bad_share, **self._facts())

    def write(
        self, unit: str, function: Callable[[object], Crops], jobs: Mapping[str, Sequence], workers: int
    ) -> StoreInfo:
        """Make the crops, then write manifest, report and, last, the store: it stands for a complete build.

        Args:
            unit: what a job is, in the plural.
            function: from a job to what becomes of it.
            jobs: by split.
            workers: processes that crop.

        Raises:
            InputError: a split without jobs, at once; too many problems, or a split without instances.
        """
        record, classes = self.record, self.names.classes
        for split in self.splits:
            if not jobs[split]:
                raise InputError(
                    f"{record.root}: split '{split}' is empty: no image of a kept class falls into it; "
                    f"change 'val_share', 'test_scenes' or 'classes' of the build settings"
                )
        self._crop(unit, function, jobs, workers)
        self.check_problems()
        for split, instances in self._instances.items():
            if not instances:
                dropped = ", ".join(f"{n} {reason}" for reason, n in self._dropped.most_common()) or "nothing"
                raise InputError(
                    f"{record.root}: no instance is left in split '{split}'; loosen the filters or change "
                    f"the split (dropped by the settings: {dropped}; "
                    f"bad {record.unit}: {record.bad_units})"
                )
        labels = self._labels()
        record.note_missing_classes(labels, classes)
        write_manifest(record.target.manifest, self._instances, classes)
        write_report(record.target.report, record.facts("built", **self._facts()))
        splits = {split: Split(np.stack(images), labels[split]) for split, images in self._images.items()}
        return write_store(record.target.store, splits, **record.description(classes))

    def _crop(
        self, unit: str, function: Callable[[object], Crops], jobs: Mapping[str, Sequence], workers: int
    ) -> None:
        ordered = [(split, job) for split in self.splits for job in jobs[split]]
        with progress("cut out instances", len(ordered), unit) as bar:
            results = ordered_map(function, [job for _, job in ordered], workers)
            for (split, _), crops in zip(ordered, results, strict=True):
                self._instances[split] += crops.instances
                self._images[split] += crops.images
                self._dropped += crops.dropped
                self._n_clipped += crops.n_clipped
                self.record.problems += crops.problems
                self.record.files += crops.files
                bar.advance()

    def _labels(self) -> dict[str, np.ndarray]:
        return {
            split: np.array([i.label for i in instances], dtype=np.int64)
            for split, instances in self._instances.items()
        }

    def _facts(self) -> dict:
        """What the report says beside the record's own facts."""
        return {
            "classes": self.names.classes,
            "labels": self._labels(),
            "dropped": dict(self._dropped.most_common()),
            "clipped": self._n_clipped,
            "names": self.names.facts(),
            "geometry": self._geometry(),
        }

    def _geometry(self) -> dict:
        """By class: the median of each measure over the instances that have it, None where none has."""
        instances = [instance for group in self._instances.values() for instance in group]
        summary = {}
        for label, name in enumerate(self.names.classes):
            summary[name] = {}
            for measure in ("distance_m", "visible_fraction", "iou_3d"):
                values = np.array([getattr(i, measure) for i in instances if i.label == label])
                known = values[~np.isnan(values)]
                summary[name][measure] = {
                    "median": round(float(np.median(known)), 4) if len(known) else None,
                    "unknown": len(values) - len(known),
                }
        return summary
