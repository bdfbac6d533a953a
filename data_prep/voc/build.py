"""Pascal VOC 2007 and 2012 for detection: the published JPEGs with their annotated objects.

Images have no labels (-1): what they show are objects, of 20 classes in the devkit's order.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cld.data import StoreInfo
from cld.runtime.progress import progress
from data_prep.common.build_record import BuildRecord, Target
from data_prep.common.jpeg_store import Encoding, SourceImage, build_jpeg_store
from data_prep.common.parallel import ordered_map
from data_prep.common.settings import Settings
from data_prep.common.source_files import digest
from data_prep.voc.annotated_images import list_splits, read_annotated
from data_prep.voc.devkit import CLASSES, DevkitImage, ImageSet


def build_voc(root: str | Path, settings: Settings, target: Target, workers: int) -> StoreInfo:
    """Build a store from ``root``, the folder that holds VOCdevkit.

    Raises:
        InputError: a missing folder, a missing, empty or broken image set, an image in two splits, other
            counts than ``expect``: at once. More bad images than ``max_bad_share``: after all were tried.
    """
    root = Path(root)
    record = BuildRecord(root, target, settings, "images", settings.expect)
    image_sets = {
        "train": [ImageSet(*names) for names in settings.train],
        "test": [ImageSet(*names) for names in settings.test],
    }
    listed = list_splits(root, image_sets)
    record.files += [digest(names.path(root), root) for group in image_sets.values() for names in group]
    record.require_counts(listed)
    record.total = sum(map(len, listed.values()))
    images = _read_annotations(record, listed, workers)
    record.check_problems(settings.max_bad_share, classes=CLASSES)
    record.details["Annotated objects"] = object_counts(images)
    for split, group in images.items():
        if n_empty := sum(len(image.objects.labels) == 0 for image in group):
            record.notes.append(f"images of split {split} without an object (kept): {n_empty}")
    encoding = Encoding(settings.short_side, settings.quality, settings.upright)
    return build_jpeg_store(record, images, CLASSES, encoding, workers)


def object_counts(images: Mapping[str, Sequence[SourceImage]]) -> list[dict]:
    """A table: the objects of each class by split, and how many of them are difficult or truncated."""
    rows = [{"class": name} for name in (*CLASSES, "all")]
    for split, group in images.items():
        objects = [image.objects for image in group]
        labels = np.concatenate([o.labels for o in objects] or [np.array([], dtype=np.int64)])
        for flag in (None, "difficult", "truncated"):
            weights = np.concatenate([getattr(o, flag) for o in objects]) if flag and objects else None
            counts = np.bincount(labels, weights, minlength=len(CLASSES)).astype(int).tolist()
            for row, count in zip(rows, (*counts, sum(counts)), strict=True):
                row[f"{split}, {flag}" if flag else split] = count
    return rows


def _read_annotations(
    record: BuildRecord, listed: Mapping[str, Sequence[DevkitImage]], workers: int
) -> dict[str, list[SourceImage]]:
    entries = [(split, entry) for split, group in listed.items() for entry in group]
    images, changed = {split: [] for split in listed}, Counter()
    with progress("read annotations", len(entries), "images") as bar:
        readings = ordered_map(read_annotated, [entry for _, entry in entries], workers)
        for (split, _), reading in zip(entries, readings, strict=True):
            record.problems += reading.problems
            record.files += [reading.annotation] if reading.annotation else []
            changed.update(reading.boxes)
            if reading.image:
                images[split].append(reading.image)
            bar.advance()
    record.notes += [f"box {fate}: {n}" for fate, n in changed.most_common() if n]
    return images
