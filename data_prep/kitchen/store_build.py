"""What every Kitchen-HC build does: collect crops by split, check them, write manifest, report and store."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from cld.data import Split, StoreInfo, write_store
from cld.runtime.errors import InputError
from data_prep.common.record import BuildRecord
from data_prep.common.report import write_report
from data_prep.common.settings import Settings
from data_prep.kitchen.class_names import KEPT, NOT_KEPT, UNKNOWN, ClassNames
from data_prep.kitchen.frame_crops import Crops
from data_prep.kitchen.instances import Instance, write_manifest

PUBLISHED = {"train": 20_800, "val": 4_000, "test": 14_400}
"""Kitchen-HC's instances (supplement, section 1), in hundreds: they are shown and not insisted on."""


@dataclass
class StoreBuild:
    """A build in the making.

    Attributes:
        record: what was read and what was met.
        settings: the build's.
        names: the classes.
        splits: names of the splits, in the order of the manifest.
    """

    record: BuildRecord
    settings: Settings
    names: ClassNames
    splits: tuple[str, ...]
    dropped: Counter = field(default_factory=Counter)
    n_clipped: int = 0
    instances: dict[str, list[Instance]] = field(init=False)
    images: dict[str, list[np.ndarray]] = field(init=False)

    def __post_init__(self) -> None:
        self.record.expected, self.record.expected_by = PUBLISHED, "supplement"
        self.instances = {split: [] for split in self.splits}
        self.images = {split: [] for split in self.splits}

    def add(self, split: str, crops: Crops) -> None:
        """Add what became of one frame or image."""
        self.instances[split] += crops.instances
        self.images[split] += crops.images
        self.dropped += crops.dropped
        self.n_clipped += crops.n_clipped
        self.record.problems += crops.problems
        self.record.files += crops.files

    def check_problems(self) -> None:
        """Fail when too many units are bad; a report that names each file is written first.

        Raises:
            InputError: with a summary by reason.
        """
        self.record.check_problems(self.settings.max_bad_share, **self._facts())

    def finish(self) -> StoreInfo:
        """Write manifest, report and, last, the store: where the store is, the build was completed.

        Raises:
            InputError: too many problems, or a split without instances.
        """
        self.check_problems()
        record = self.record
        for split, instances in self.instances.items():
            if not instances:
                dropped = ", ".join(f"{n} {reason}" for reason, n in self.dropped.most_common()) or "nothing"
                raise InputError(
                    f"{record.root}: no instance is left in split '{split}'; loosen the filters or change "
                    f"the split (dropped by the settings: {dropped}; "
                    f"bad {record.unit}: {record.bad_units})"
                )
            missing = sorted(set(self.names.classes) - {self.names.classes[i.label] for i in instances})
            record.notes += [f"split {split} has no instance of {name}" for name in missing]
        labels = self._labels()
        write_manifest(record.target.manifest, self.instances, self.names.classes)
        write_report(record.target.report, record.facts("built", **self._facts()))
        return write_store(
            record.target.store,
            {split: Split(np.stack(self.images[split]), labels[split]) for split in self.splits},
            **record.description(self.names.classes),
        )

    def _labels(self) -> dict[str, np.ndarray]:
        return {
            split: np.array([i.label for i in instances], dtype=np.int64)
            for split, instances in self.instances.items()
        }

    def _facts(self) -> dict:
        """What the report tells beside the record's own facts."""
        spellings = self.names.spellings
        return {
            "classes": self.names.classes,
            "labels": self._labels(),
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
            "geometry": _geometry(self.instances, self.names.classes),
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
