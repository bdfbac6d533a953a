"""What every Kitchen-HC build does: collect crops by split, check them, write manifest, report and store."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cld.data import Split, StoreInfo, write_store
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from data_prep.common.boxes import Box
from data_prep.common.build_record import BuildRecord, Problem
from data_prep.common.manifest import write_rows
from data_prep.common.parallel import ordered_map
from data_prep.common.report import write_report
from data_prep.common.source_files import FileDigest
from data_prep.kitchen.class_names import ClassNames

PUBLISHED = {"train": 20_800, "val": 4_000, "test": 14_400}
"""Kitchen-HC's instances (supplement, section 1), in hundreds: shown in the report, not enforced."""
COLUMNS = (
    *("split", "row", "class", "label", "scene", "frame", "image", "left", "top", "right", "bottom"),
    *("truncated", "difficult", "distance_m", "visible_fraction", "iou_3d"),
)
"""Of the manifest: a row an instance, in the store's order; what is unknown is empty."""
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Instance:
    """One object in one image; what the source does not say is None or, of measures, NaN."""

    image: str  # path relative to the source's root
    label: int
    scene: int | None = None
    frame: int | None = None
    box: Box | None = None  # the annotated one inside the frame; None: the whole image
    truncated: bool | None = None
    difficult: bool | None = None
    distance_m: float = UNKNOWN  # from the camera
    visible_fraction: float = UNKNOWN
    iou_3d: float = UNKNOWN  # of the box with the projected 3D object's


@dataclass
class Crops:
    """What became of a frame's boxes, or of an image."""

    instances: list[Instance] = field(default_factory=list)  # those kept
    images: list[np.ndarray] = field(default_factory=list)  # their crops, uint8 (S, S, 3) each
    dropped: Counter = field(default_factory=Counter)  # boxes that the settings drop, by reason
    n_clipped: int = 0  # boxes cut at their frame's border
    problems: list[Problem] = field(default_factory=list)
    files: list[FileDigest] = field(default_factory=list)


class StoreBuild:
    """A build in progress: its record, its settings, the names of its classes, and its splits in order."""

    def __init__(self, record: BuildRecord, has_val_folder: bool = False):
        self.record, self.settings = record, record.settings
        self.names = ClassNames(self.settings)
        record.expected, record.expected_by = PUBLISHED, "supplement"
        has_val = has_val_folder or self.settings.val_share
        self.splits = ("train", "val", "test") if has_val else ("train", "test")
        self._made = {split: Crops() for split in self.splits}

    def check_problems(self) -> None:
        """Fail when too many units are bad; see :meth:`BuildRecord.check_problems`."""
        self.record.check_problems(self.settings.max_bad_share, **self._facts())

    def write(
        self, unit: str, function: Callable[[object], Crops], jobs: Mapping[str, Sequence], workers: int
    ) -> StoreInfo:
        """Make the crops, then write manifest, report and, last, the store: it stands for a complete build.

        Args:
            unit: what a job is, in the plural.
            jobs: by split; ``function`` makes the crops of one.

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
        for split, made in self._made.items():
            if not made.instances:
                counts = self._dropped().most_common()
                dropped = ", ".join(f"{n} {reason}" for reason, n in counts) or "nothing"
                raise InputError(
                    f"{record.root}: no instance is left in split '{split}'; loosen the filters or change "
                    f"the split (dropped by the settings: {dropped}; "
                    f"bad {record.unit}: {record.bad_units})"
                )
        labels = self._labels()
        record.note_missing_classes(labels, classes)
        self._write_manifest()
        write_report(record.target.report, record.facts("built", **self._facts()))
        splits = {split: Split(np.stack(made.images), labels[split]) for split, made in self._made.items()}
        return write_store(record.target.store, splits, **record.description(classes))

    def _crop(
        self, unit: str, function: Callable[[object], Crops], jobs: Mapping[str, Sequence], workers: int
    ) -> None:
        ordered = [(split, job) for split in self.splits for job in jobs[split]]
        with progress("cut out instances", len(ordered), unit) as bar:
            results = ordered_map(function, [job for _, job in ordered], workers)
            for (split, _), crops in zip(ordered, results, strict=True):
                made = self._made[split]
                made.instances += crops.instances
                made.images += crops.images
                made.dropped += crops.dropped
                made.n_clipped += crops.n_clipped
                self.record.problems += crops.problems
                self.record.files += crops.files
                bar.advance()

    def _write_manifest(self) -> None:
        rows = (
            (
                *(split, row, self.names.classes[i.label], i.label, i.scene, i.frame, i.image),
                *(i.box or (None,) * 4),
                *(i.truncated, i.difficult, i.distance_m, i.visible_fraction, i.iou_3d),
            )
            for split, made in self._made.items()
            for row, i in enumerate(made.instances)
        )
        write_rows(self.record.target.manifest, COLUMNS, ([_field(value) for value in row] for row in rows))

    def _labels(self) -> dict[str, np.ndarray]:
        return {
            split: np.array([i.label for i in made.instances], dtype=np.int64)
            for split, made in self._made.items()
        }

    def _dropped(self) -> Counter:
        return sum((made.dropped for made in self._made.values()), Counter())

    def _facts(self) -> dict:
        """What the report says beside the record's own facts."""
        return {
            "classes": self.names.classes,
            "labels": self._labels(),
            "dropped": dict(self._dropped().most_common()),
            "clipped": sum(made.n_clipped for made in self._made.values()),
            "names": self.names.facts(),
            "geometry": self._geometry(),
        }

    def _geometry(self) -> dict:
        """By class: the median of each measure over the instances that have it, None where none has."""
        instances = [instance for made in self._made.values() for instance in made.instances]
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


def validation_mask(n: int, share: float, blocks: int) -> np.ndarray:
    """Which of ``n`` consecutive frames validate, bool (n,): neighbouring frames are near-duplicates.

    The sequence is cut into ``blocks`` equal stretches, and the middle ``share`` of each validates. In all,
    round(n · share) frames do, as evenly spread over the blocks as whole frames allow.
    """
    mask = np.zeros(n, dtype=bool)
    total = round(n * share)
    for block in range(blocks):
        start, stop = n * block // blocks, n * (block + 1) // blocks
        length = total * (block + 1) // blocks - total * block // blocks
        first = start + (stop - start - length) // 2
        mask[first : first + length] = True
    return mask


def _field(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}".rstrip("0").rstrip(".")
    return "" if value is None else value
