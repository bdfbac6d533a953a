"""What every Kitchen-HC build does: collect crops by split, check them, write manifest, report and store."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cld.data import Split, StoreInfo, write_store
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from data_prep.common.build_record import BuildRecord, Problem
from data_prep.common.parallel import ordered_map
from data_prep.common.report import write_report
from data_prep.common.source_files import FileDigest
from data_prep.kitchen.class_names import KEPT, NOT_KEPT, UNKNOWN, ClassNames
from data_prep.kitchen.instances import Instance, write_manifest

PUBLISHED = {"train": 20_800, "val": 4_000, "test": 14_400}
"""Kitchen-HC's instances (supplement, section 1), in hundreds: they are shown and not insisted on."""


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
        self._crops = {split: Crops() for split in self.splits}

    def check_splits(self, jobs: dict[str, list], keys: str) -> None:
        """Check that each split has something to read.

        Args:
            jobs: by split.
            keys: the build settings that move images between splits, quoted.

        Raises:
            InputError: names the first split that has nothing, and the settings to change.
        """
        for split, group in jobs.items():
            if not group:
                raise InputError(
                    f"{self.record.root}: split '{split}' is empty: no image of a kept class falls into it; "
                    f"change {keys} or 'classes' of the build settings"
                )

    def crop(
        self,
        title: str,
        unit: str,
        function: Callable[[object], Crops],
        jobs: dict[str, list],
        workers: int,
    ) -> None:
        """Run the jobs of each split in ``workers`` processes, and add what becomes of them."""
        ordered = [(split, job) for split in self.splits for job in jobs[split]]
        with progress(title, len(ordered), unit) as bar:
            results = ordered_map(function, [job for _, job in ordered], workers)
            for (split, _), crops in zip(ordered, results, strict=True):
                own = self._crops[split]
                own.instances += crops.instances
                own.images += crops.images
                own.dropped += crops.dropped
                own.n_clipped += crops.n_clipped
                self.record.problems += crops.problems
                self.record.files += crops.files
                bar.advance()

    def check_problems(self) -> None:
        """Fail when too many units are bad; see :meth:`BuildRecord.check_problems`."""
        self.record.check_problems(self.settings.max_bad_share, **self._facts())

    def finish(self) -> StoreInfo:
        """Write manifest, report and, last, the store: where the store is, the build was completed.

        Raises:
            InputError: too many problems, or a split without instances.
        """
        self.check_problems()
        record = self.record
        instances = {split: crops.instances for split, crops in self._crops.items()}
        for split, own in instances.items():
            if not own:
                dropped = ", ".join(f"{n} {reason}" for reason, n in self._dropped().items()) or "nothing"
                raise InputError(
                    f"{record.root}: no instance is left in split '{split}'; loosen the filters or change "
                    f"the split (dropped by the settings: {dropped}; "
                    f"bad {record.unit}: {record.bad_units})"
                )
        labels = self._labels()
        record.note_missing_classes(labels, self.names.classes)
        write_manifest(record.target.manifest, instances, self.names.classes)
        write_report(record.target.report, record.facts("built", **self._facts()))
        return write_store(
            record.target.store,
            {split: Split(np.stack(crops.images), labels[split]) for split, crops in self._crops.items()},
            **record.description(self.names.classes),
        )

    def _labels(self) -> dict[str, np.ndarray]:
        return {
            split: np.array([i.label for i in crops.instances], dtype=np.int64)
            for split, crops in self._crops.items()
        }

    def _dropped(self) -> dict[str, int]:
        """Boxes that the settings drop, by reason, the commonest first."""
        return dict(sum((crops.dropped for crops in self._crops.values()), Counter()).most_common())

    def _facts(self) -> dict:
        """What the report says beside the record's own facts."""
        spellings = self.names.spellings
        return {
            "classes": self.names.classes,
            "labels": self._labels(),
            "dropped": self._dropped(),
            "clipped": sum(crops.n_clipped for crops in self._crops.values()),
            "names": {
                "renamed": {
                    spelling: {"class": name, "count": spellings[KEPT][spelling]}
                    for spelling, name in self.names.renamed().items()
                },
                "not_kept": dict(spellings[NOT_KEPT].most_common()),
                "unknown": dict(spellings[UNKNOWN].most_common()),
            },
            "geometry": self._geometry(),
        }

    def _geometry(self) -> dict:
        """By class: the median of each measure over the instances that have it, None where none has."""
        instances = [instance for crops in self._crops.values() for instance in crops.instances]
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
