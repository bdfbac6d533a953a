"""Figure A.1: views of the kitchen scenes with their boxes, and the crops that make Kitchen-HC."""

import textwrap
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cld.data import read_info, read_split
from cld.data.verification import require_whole
from cld.reporting.style import (
    COLOURS,
    TEXT_WIDTH,
    add_output_arguments,
    caption,
    evenly_spaced,
    outline,
    plt,
    save_outputs,
    strip,
)
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError

N_SCENES = 2
N_VIEWS = 4  # of each scene, spread over the camera's path
N_CROPS = 20  # of each class, in the order of the camera's path
VIEW_HEIGHT, STRIP_HEIGHT = 1.1, 0.235  # of a row of views and a row of crops, in inches


def pick_views(manifest: pd.DataFrame) -> pd.DataFrame:
    """The frames to show (scene, frame, image): the fullest training scenes, views evenly along the path.

    Empty where the source has no scenes (a ready-made ImageFolder).
    """
    train = manifest[(manifest["split"] == "train") & manifest["scene"].notna()]
    scenes = train["scene"].value_counts(sort=False).sort_values(ascending=False, kind="stable").index
    views = []
    for scene in scenes[:N_SCENES]:
        frames = train[train["scene"] == scene][["scene", "frame", "image"]].drop_duplicates()
        frames = frames.sort_values("frame")
        views.append(frames.iloc[evenly_spaced(len(frames), N_VIEWS)])
    return pd.concat(views) if views else train[["scene", "frame", "image"]]


def pick_crops(manifest: pd.DataFrame, label: int) -> list[int]:
    """Rows of the training split that show one class, along the path of the scene that shows it most."""
    train = manifest[(manifest["split"] == "train") & (manifest["label"] == label)]
    if train["scene"].notna().any():
        train = train[train["scene"] == train["scene"].mode()[0]].sort_values("frame")
    return train["row"].head(N_CROPS).tolist()


def draw(manifest: pd.DataFrame, root: Path, store: str, heading: str) -> Figure:
    """The figure: frames with boxes above, a strip of crops for each class below."""
    views = pick_views(manifest)
    classes, crops = read_info(store).classes, read_split(store, "train").images
    n_rows = -(-len(views) // N_VIEWS)
    heights = [0.45 + n_rows * VIEW_HEIGHT, len(classes) * STRIP_HEIGHT]
    figure = plt.figure(figsize=(TEXT_WIDTH, sum(heights)))
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    above.suptitle(heading, fontsize=8, y=1 - 0.05 / heights[0], va="top")
    if n_rows:
        axes = above.subplots(n_rows, N_VIEWS, squeeze=False)
        above.subplots_adjust(0.01, 0.02, 0.99, 1 - 0.5 / heights[0], wspace=0.04, hspace=0.15)
        for axis in axes.flat:
            axis.axis("off")
        for axis, view in zip(axes.flat, views.itertuples(), strict=False):
            boxes = manifest[(manifest["scene"] == view.scene) & (manifest["frame"] == view.frame)]
            _draw_view(axis, root / view.image, boxes)
            axis.set_title(f"scene {view.scene:.0f}, frame {view.frame:.0f}", pad=2)
    strips = below.subplots(len(classes), 1, squeeze=False)[:, 0]
    below.subplots_adjust(0.33, 0.02, 0.99, 0.98, hspace=0.06)
    for label, (axis, name) in enumerate(zip(strips, classes, strict=True)):
        axis.imshow(
            strip(crops[pick_crops(manifest, label)], N_CROPS), interpolation="lanczos", aspect="auto"
        )
        place = {"transform": axis.transAxes, "clip_on": False}
        label_text = textwrap.fill(name.replace("_", " "), 36)
        axis.text(-0.03, 0.5, label_text, ha="right", va="center", fontsize=5.5, **place)
        colour = COLOURS[label % len(COLOURS)]
        axis.plot(-0.015, 0.5, "s", color=colour, markeredgecolor="black", markeredgewidth=0.4, **place)
        axis.axis("off")
    return figure


def shown_table(manifest: pd.DataFrame, n_classes: int) -> pd.DataFrame:
    """The manifest's lines of the views and crops that the figure shows; ``shown`` tells which of the two."""
    views = pick_views(manifest)[["scene", "frame", "image"]].assign(shown="view")
    rows = [row for label in range(n_classes) for row in pick_crops(manifest, label)]
    train = manifest[manifest["split"] == "train"].set_index("row", drop=False)
    return pd.concat([views, train.loc[rows].assign(shown="crop")])


def _draw_view(axis: Axes, path: Path, boxes: pd.DataFrame) -> None:
    try:
        image = Image.open(path).convert("RGB")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error}); is the dataset still where the store found it?"
        ) from None
    axis.imshow(image)
    for box in boxes.itertuples():
        corners = (box.left, box.top, box.right, box.bottom)
        outline(axis, corners, COLOURS[box.label % len(COLOURS)], linewidth=0.9)


def main() -> None:
    """Draw Figure A.1."""
    parser = ArgumentParser(prog="cld figure-a1", description=main.__doc__)
    parser.add_argument("--preset", required=True)
    parser.add_argument("--root", required=True, help="the scenes' folder")
    parser.add_argument("--store", required=True)
    parser.add_argument("--manifest", required=True)
    add_output_arguments(parser)
    args = parser.parse_args()
    heading = caption("Figure A.1: scenes and the crops of Kitchen-HC", args.preset, "kitchen_hc")
    require_whole(args.store)
    manifest = pd.read_csv(args.manifest)
    shown = shown_table(manifest, len(read_info(args.store).classes))
    save_outputs(args, draw(manifest, Path(args.root), args.store, heading), shown)
