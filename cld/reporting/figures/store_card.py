"""A store's card: what it holds, in text and in one picture, from the store alone.

    cld card --store cifar10.h5 --pixel-knn pixel_knn.json \\
        --card cifar10.card.md --figure cifar10.card.png
"""

import io
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cld.config import is_generated, load_preset
from cld.data import EncodedImages, StoreInfo, read_info, thumbnails
from cld.data.store_format import open_store
from cld.data.verification import require_whole
from cld.evaluation.compare import read_score
from cld.reporting.style import (
    COLOURS,
    TEXT_WIDTH,
    dataset_name,
    evenly_spaced,
    outline,
    picture_path,
    plt,
    save,
    strip,
)
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError
from cld.runtime.files import require_place, write_text
from cld.runtime.markdown import table

MAX_CLASSES = 16  # rows of samples
MAX_NAMED = 40  # classes whose counts have their names below
N_SAMPLES = 16  # samples of a class
SCENES = (4, 4)  # rows and columns of images with objects
SIDE = 64  # pixels of a sample, at most


def read_labels(path: str | Path, info: StoreInfo) -> dict[str, np.ndarray]:
    """The classes of each split's images, or of its annotated objects: int64 (N,); -1 stands for none."""
    labels = "box_labels" if info.has_objects else "labels"
    with open_store(path) as store:
        return {split: store[split][labels][:] for split in info.sizes}


def count_labels(labels: Mapping[str, np.ndarray], info: StoreInfo) -> dict[str, np.ndarray]:
    """How many labels of each class a split has: int64 (C,) by split."""
    return {split: np.bincount(own[own >= 0], minlength=len(info.classes)) for split, own in labels.items()}


def text(
    path: str | Path, info: StoreInfo, labels: Mapping[str, np.ndarray], figure: str, score: Mapping | None
) -> str:
    """The card in Markdown.

    Args:
        labels: as :func:`read_labels` gives them.
        figure: the picture's address, relative to the card.
        score: raw-pixel kNN, None where images have no labels.
    """
    counts = count_labels(labels, info)
    size = f"{info.image_size}×{info.image_size}" if info.image_size else "JPEGs of many sizes"
    lines = [f"# {info.dataset}, {load_preset(info.preset)['title']}", ""]
    if is_generated(info.preset, info.dataset):
        lines += ["**Generated images in the publisher's file format: not the published dataset.**", ""]
    lines += [
        f"![samples]({figure})",
        "",
        f"- images: {size}; {', '.join(f'{n:,} {split}' for split, n in info.sizes.items())}",
        f"- file: {Path(path).name}, {Path(path).stat().st_size / 1e6:,.1f} MB, "
        f"SHA-256 of its content {info.checksum}",
        f"- normalised with mean {_triple(info.mean)}, standard deviation {_triple(info.std)}",
        f"- check it again: `cld verify {Path(path).name}`",
    ]
    if score is not None:
        metrics, settings = score["metrics"], score["settings"]
        k = score.get("details", {}).get("k", settings["k"])  # all there are, where they are few
        lines += [
            f"- kNN on raw pixels ({settings['side']}×{settings['side']}, k {k}): "
            f"top-1 {metrics['top1']:.1f} %, top-5 {metrics['top5']:.1f} %"
        ]
    what = "Objects" if info.has_objects else "Images"
    rows: list[tuple] = [
        (name, *(int(of_split[label]) for of_split in counts.values()))
        for label, name in enumerate(info.classes)
    ]
    unlabelled = [int((own < 0).sum()) for own in labels.values()]
    if any(unlabelled):
        rows.append(("(no label)", *unlabelled))
    rows.append(("all", *(int(sum(row[1 + i] for row in rows)) for i in range(len(counts)))))
    settings = ((key, json.dumps(value)) for key, value in info.config.items())
    lines += ["", f"## {what} by class and split", "", table(("class", *counts), rows)]
    lines += ["## Sources", "", table(("what", "value"), info.sources.items())]
    lines += ["## Configuration", "", table(("setting", "value"), settings)]
    return "\n".join(lines)


def draw(path: str | Path, info: StoreInfo, labels: Mapping[str, np.ndarray], title: str) -> Figure:
    """The card's picture: samples of the classes, or images with their objects, above the counts by class."""
    counts = count_labels(labels, info)
    rows = {} if info.has_objects else _sample_rows(info, labels)
    height = 5.2 if info.has_objects else 0.43 * len(rows)
    names = class_names(info)
    longest = max((len(line) for name in names for line in name.split("\n")), default=0)
    more = max(0.0, 0.03 * longest - 0.5)  # for long names of classes below the counts, in inches
    figure = plt.figure(figsize=(TEXT_WIDTH, height + 2.3 + more))
    above, below = figure.subfigures(2, 1, height_ratios=[height + 0.4, 1.9 + more])
    above.suptitle(title, fontsize=8, x=0.01, ha="left")
    if info.has_objects:
        _draw_scenes(above, path, info)
    else:
        _draw_samples(above, path, info, rows)
    axis = below.subplots()
    below.subplots_adjust(0.08, 0.24, 0.99, 0.95)
    _draw_counts(axis, info, counts, names)
    figure.draw_without_rendering()  # room for the classes' names, which it cuts otherwise
    needed, own = axis.get_tightbbox(), below.bbox
    left, bottom = (own.x0 - needed.x0) / own.width, (own.y0 - needed.y0) / own.height
    below.subplots_adjust(0.08 + max(left + 0.01, 0), 0.24 + max(bottom + 0.02, 0))
    return figure


def _sample_rows(info: StoreInfo, labels: Mapping[str, np.ndarray]) -> dict[str, tuple[str, np.ndarray]]:
    """By the name of a row: the split and the images that are shown in it, evenly spread over the class."""
    rows = {}
    for label in evenly_spaced(len(info.classes), MAX_CLASSES):
        rows[info.classes[label]] = "train", np.flatnonzero(labels["train"] == label)
    for split, values in labels.items():
        rows[f"(no label, {split})"] = split, np.flatnonzero(values < 0)
    return {
        name: (split, own[evenly_spaced(len(own), N_SAMPLES)])
        for name, (split, own) in rows.items()
        if len(own)
    }


def _draw_samples(
    figure: Figure, path: str | Path, info: StoreInfo, rows: Mapping[str, tuple[str, np.ndarray]]
) -> None:
    side = min(info.image_size or SIDE, SIDE)
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(0.16, 0.01, 0.99, 0.94, hspace=0.08)
    for axis, (name, (split, index)) in zip(axes, rows.items(), strict=True):
        images = strip(thumbnails(path, split, index, side), N_SAMPLES)
        axis.imshow(images, interpolation="lanczos", aspect="equal")
        label = textwrap.fill(name.replace("_", " "), 22)
        axis.text(-0.01, 0.5, label, ha="right", va="center", fontsize=5.5, transform=axis.transAxes)
        axis.axis("off")


def _draw_scenes(figure: Figure, path: str | Path, info: StoreInfo) -> None:
    images = EncodedImages(path, "train")
    axes = figure.subplots(*SCENES).ravel()
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.94, wspace=0.03, hspace=0.03)
    for axis, row in zip(axes, np.linspace(0, len(images) - 1, len(axes)).astype(int), strict=True):
        axis.imshow(Image.open(io.BytesIO(images[row])).convert("RGB"))
        objects = images.objects.of(row)
        for box, label in zip(objects.boxes, objects.labels, strict=True):
            colour = COLOURS[label % len(COLOURS)]
            outline(axis, box, colour)
            back = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6}
            axis.text(*box[:2], info.classes[label], fontsize=5, va="top", clip_on=True, bbox=back)
        axis.axis("off")


def class_names(info: StoreInfo) -> list[str]:
    """The classes' names as they stand below the counts: none where there are too many."""
    if len(info.classes) > MAX_NAMED:
        return []
    n_lines = max(1, MAX_NAMED // max(1, len(info.classes)))
    return [in_lines(name.replace("_", " "), n_lines) for name in info.classes]


def _draw_counts(axis: Axes, info: StoreInfo, counts: Mapping[str, np.ndarray], names: Sequence[str]) -> None:
    splits = [split for split in counts if counts[split].any()]
    at = np.arange(len(info.classes))
    width = 0.8 / len(splits)
    for i, split in enumerate(splits):
        colour = ("#0072b2", "#e69f00", "#009e73")[i % 3]
        axis.bar(at + (i - (len(splits) - 1) / 2) * width, counts[split], width, color=colour, label=split)
    positive = np.concatenate([counts[split][counts[split] > 0] for split in splits])
    if positive.max() > 20 * positive.min():
        axis.set_yscale("log")
    axis.set_ylabel("objects" if info.has_objects else "images")
    axis.set_xlim(-0.6, len(at) - 0.4)
    if names:
        look: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor", "fontsize": 5.5}
        axis.set_xticks(at, names, **look)
    else:
        axis.set_xlabel("class")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, ncols=len(splits), loc="lower right", bbox_to_anchor=(1, 0.98), borderpad=0)


def in_lines(name: str, n: int) -> str:
    """A name in at most ``n`` lines, as narrow as they can be."""
    widths = range(12, len(name) + 12)
    return next(text for width in widths if (text := textwrap.fill(name, width)).count("\n") < n)


def _triple(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def main() -> None:
    """Write a store's card."""
    parser = ArgumentParser(prog="cld card", description=main.__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument(
        "--pixel-knn", type=Path, help="the store's raw-pixel score; without it none is shown"
    )
    parser.add_argument("--card", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--figure", type=picture_path, required=True, help="picture to write")
    args = parser.parse_args()
    require_whole(args.store)
    info = read_info(args.store)
    labels = read_labels(args.store, info)
    score = read_score(args.pixel_knn) if args.pixel_knn else None
    if score and score["protocol"] != "pixel_knn":
        raise InputError(f"{args.pixel_knn}: is a score of {score['protocol']}; name the one of pixel_knn")
    for path in (args.figure, args.card):
        require_place(path)
    name = dataset_name(info.dataset)
    is_demo = is_generated(info.preset, info.dataset)
    scale = "demo: generated, not the published dataset" if is_demo else load_preset(info.preset)["title"]
    save(draw(args.store, info, labels, f"{name}, {scale}"), [args.figure])
    write_text(args.card, text(args.store, info, labels, args.figure.name, score))
