"""The manifest: a CSV file with one row an image, in the store's order, that says where each came from."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cld.runtime.files import atomic_path

COLUMNS = ("split", "row", "class", "label", "image")


def write_rows(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file atomically."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_manifest(
    path: str | Path,
    images: Mapping[str, Sequence[str]],
    labels: Mapping[str, np.ndarray],
    classes: Sequence[str],
) -> None:
    """Write one row an image: ``row`` indexes its split; an image without a label (-1) has no class.

    Args:
        images: by split, each image's name upstream.
        labels: by split, int64 (N,).
        classes: names, in the order of the labels.
    """
    rows = (
        (split, row, *((classes[label], label) if label >= 0 else ("", "")), image)
        for split, names in images.items()
        for row, (label, image) in enumerate(zip(labels[split].tolist(), names, strict=True))
    )
    write_rows(path, COLUMNS, rows)
