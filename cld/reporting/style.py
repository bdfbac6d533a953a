"""The look of every figure, and how it is saved."""

import argparse
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.patches import Rectangle

from cld.config import is_generated, load_preset
from cld.runtime.files import atomic_path, require_place, write_text

#: Two-column width of the paper, in inches.
TEXT_WIDTH = 6.9
#: Eleven colours that stay apart for colour-blind readers (Okabe & Ito 2008, extended by shade).
COLOURS = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00"),
    *("#cc79a7", "#ffffff", "#8fd0b5", "#9a6a00", "#b3b3ff"),
)

#: In the titles of what shows generated data: short, so that it stays where a title goes.
NO_REPRODUCTION = "demo: generated data, no reproduction"

#: Datasets as papers write them; others keep the name of their file.
DATASET_NAMES = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "cifar10_lt": "CIFAR-10-LT",
    "cifar100_lt": "CIFAR-100-LT",
    "imagenet": "ImageNet",
    "imagenet100": "ImageNet-100",
    "imagenet_lt": "ImageNet-LT",
    "kitchen_hc": "Kitchen-HC",
    "stl10": "STL-10",
    "voc07": "Pascal VOC 2007",
    "voc0712": "Pascal VOC 2007 + 2012",
}

#: Fonts with Chinese, Japanese and Korean characters; those that the system has are used.
CJK_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans CJK KR",
    "WenQuanYi Zen Hei",
    "IPAGothic",
    "Unifont",
)

plt.rcParams.update(
    {
        "font.size": 7,
        "axes.titlesize": 7,
        "figure.dpi": 200,
        "pdf.fonttype": 42,
        "font.family": ["DejaVu Sans", *(name for name in CJK_FONTS if name in fontManager.get_font_names())],
        "text.parse_math": False,  # a class may be called "US$$"
    }
)


def caption(text: str, preset: str, dataset: str) -> str:
    """A figure's heading: its scale, or that its data are generated, in one line."""
    if is_generated(preset, dataset):
        return f"{text} ({NO_REPRODUCTION})"
    return f"{text}, {load_preset(preset)['title']}"


def dataset_name(dataset: str) -> str:
    """A dataset's name in headings."""
    return DATASET_NAMES.get(dataset, dataset)


def evenly_spaced(n: int, most: int) -> np.ndarray:
    """Indices of at most ``most`` of ``n`` things, evenly, with the first and the last: int64, ascending."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(int)


def outline(axis: Axes, box: Iterable[float], colour: str, **look: Any) -> None:
    """Draw the outline of a box: left, top, right, bottom."""
    left, top, right, bottom = box
    axis.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, **look))


def strip(images: np.ndarray, n: int) -> np.ndarray:
    """Images (m, S, S, 3), m at most ``n``, side by side with white gaps: (S, n (S + 2), 3)."""
    size = images.shape[1]
    row = np.full((size, n, size + 2, 3), 255, dtype=np.uint8)
    row[:, : len(images), :size] = images.transpose(1, 0, 2, 3)
    return row.reshape(size, -1, 3)


def panels_figure(n_panels: int, heading: str, note: str) -> tuple[Figure, Sequence[Axes]]:
    """An empty figure of panels side by side, in percent, with a heading above them and a note below."""
    figure = plt.figure(figsize=(TEXT_WIDTH, 2.4), layout="constrained")
    figure.suptitle(heading, fontsize=8)
    figure.supxlabel(note, fontsize=5.5)
    axes = figure.subplots(1, n_panels)
    axes[0].set_ylabel("percent")
    return figure, axes


def draw_panel(
    axis: Axes, places: np.ndarray, mean: np.ndarray, deviation: np.ndarray, colour: str, marker: str = ""
) -> None:
    """Draw a score over the values of a setting: a band of its deviation over seeds, a ring at its best.

    Args:
        places: (V,), where on the axis the setting's values lie.
        mean, deviation: (V,), in percent; a deviation is NaN where there is one seed.
    """
    band = np.nan_to_num(deviation)
    axis.fill_between(places, mean - band, mean + band, color=colour, alpha=0.15, linewidth=0)
    axis.plot(places, mean, color=colour, marker=marker, markersize=3.5, linewidth=1.2)
    best = int(np.argmax(mean))
    ring: dict[str, Any] = {"color": "none", "markersize": 9, "markeredgewidth": 1.2}
    axis.plot(places[best], mean[best], "o", markeredgecolor=colour, **ring)
    axis.margins(x=0.08, y=0.18)
    axis.grid(axis="y", linewidth=0.3, alpha=0.5)
    axis.spines[["top", "right"]].set_visible(False)


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """``--figure`` and ``--csv`` of a command that draws a figure."""
    parser.add_argument(
        "--figure", type=picture_path, nargs="+", required=True, help="files to write, .png or .pdf"
    )
    parser.add_argument("--csv", help="file for what is drawn, as numbers")


def picture_path(text: str) -> Path:
    """The type of an argument that names a picture.

    Raises:
        ArgumentTypeError: matplotlib writes no such format here.
    """
    if Path(text).suffix not in (".png", ".pdf"):
        raise argparse.ArgumentTypeError(f"{text} ends neither in .png nor in .pdf")
    return Path(text)


def save_outputs(args: argparse.Namespace, figure: Figure, numbers: pd.DataFrame) -> None:
    """Save a figure and its numbers where :func:`add_output_arguments` says."""
    for path in (*args.figure, *([args.csv] if args.csv else [])):
        require_place(path)  # of all, before the first is written
    save(figure, args.figure)
    if args.csv:
        write_text(args.csv, numbers.to_csv(index=False))


def save(figure: Figure, paths: Iterable[Path]) -> None:
    """Save a figure under each path, in the format of its suffix, atomically and without a time stamp."""
    for path in paths:
        with atomic_path(path) as temporary, warnings.catch_warnings(record=True, action="always") as warned:
            metadata = {"CreationDate": None} if path.suffix == ".pdf" else {}
            figure.savefig(temporary, metadata=metadata)
        if warned:  # one for each character
            print(
                f"{path}: some characters are drawn as boxes, since no font here has them; install "
                "fonts-noto-cjk, or the like",
                file=sys.stderr,
            )
    plt.close(figure)
