"""Figure A.3: what two methods retrieve for the same queries, side by side.

    cld figure-a3 --store imagenet100.h5 --checkpoints npid.pt npid_cld.pt \\
        --labels NPID NPID+CLD --queries 8 --figure gallery.png gallery.pdf --csv gallery.csv

Which queries are shown does not depend on the second method: they stand for the whole range of the first
one's performance, evenly by rank, and the rows begin where it does worst.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cld.data import StoreInfo, read_info, read_labels, thumbnails
from cld.data.verification import require_whole
from cld.evaluation.retrieval import Retrieval, retrieve
from cld.reporting.style import TEXT_WIDTH, add_output_arguments, caption, outline, plt, save_outputs
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError

N_HITS = 8
RIGHT, WRONG = "#2fbf71", "#b3122a"  # a light green and a dark red: apart in grey, too
SIDE = 96  # pixels of a picture from a JPEG
NAME, GAP, SPACE = 1.95, 0.32, 0.1  # widths of the classes' names, of gaps, and between pictures, in pictures
HEAD, FOOT = 0.42, 0.17  # heights above and below the pictures, in inches


def choose_queries(n_right: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    """The queries to show, in the order of the rows: from the first method's fewest right hits to its most.

    The images are ranked by their number of right hits, in random order where it is the same; the ranks are
    cut into ``n`` equal parts, and the middle one of each is shown, or of as many right hits the next one
    whose class is not shown yet.

    Args:
        n_right: (N,), how many of an image's hits by the first method are right.
        labels: (N,).
        n: rows, at most N.
    """
    shuffled = np.random.default_rng(0).permutation(len(n_right))
    ranked = shuffled[np.argsort(n_right[shuffled], kind="stable")]
    chosen: list[int] = []
    for middle in ((np.arange(n) + 0.5) * len(ranked) / n).astype(int):
        is_alike = n_right[ranked] == n_right[ranked[middle]]
        alike = np.roll(ranked, -middle)[np.roll(is_alike, -middle)]  # the middle one first
        free = alike[~np.isin(alike, chosen)]
        new = free[~np.isin(labels[free], labels[chosen])]
        chosen.append(int((new if len(new) else free)[0]))
    return np.array(chosen)


def hits_table(
    queries: np.ndarray,
    found: Mapping[str, Retrieval],
    labels: tuple[np.ndarray, np.ndarray],
    classes: Sequence[str],
) -> pd.DataFrame:
    """What the figure shows, one line a hit: rows of the two splits, classes, and whether they agree.

    Args:
        queries: (n,), rows of the queries' split.
        found: what each method retrieves for every image of the queries' split.
        labels: of the queries' split and of the hits'.
    """
    lines = [
        {
            "place": place,
            "query": query,
            "query_class": classes[labels[0][query]],
            "method": name,
            "rank": rank,
            "hit": hit,
            "hit_class": classes[labels[1][hit]],
            "is_right": bool(method.is_right[query, rank - 1]),
        }
        for place, query in enumerate(queries, start=1)
        for name, method in found.items()
        for rank, hit in enumerate(method.rows[query], start=1)
    ]
    return pd.DataFrame(lines)


def draw(
    store: str | Path,
    info: StoreInfo,
    splits: tuple[str, str],
    shown: pd.DataFrame,
    shares: Mapping[str, float],
) -> Figure:
    """The figure: a row a query, then the hits of each method.

    Args:
        splits: of the queries and of the hits.
        shown: see :func:`hits_table`.
        shares: by method, the percentage of right hits over all queries.
    """
    k, n_queries = shown["rank"].max(), shown["place"].max()
    step = 1 + SPACE
    starts = [NAME + step + GAP + i * (k * step + GAP) for i in range(len(shares))]
    width = starts[-1] + k * step
    inch = TEXT_WIDTH / (width + 0.1)  # of a picture's side
    heading = caption("Figure A.3: sample retrievals", info.preset, info.dataset)
    height = n_queries * step * inch + HEAD + FOOT
    figure = plt.figure(figsize=(TEXT_WIDTH, height))
    axis = figure.add_axes((0, FOOT / height, 1, 1 - (HEAD + FOOT) / height))
    axis.set(xlim=(-0.05, width + 0.05), ylim=(n_queries * step, 0))
    axis.axis("off")
    figure.text(0.5, 1 - 0.06 / height, heading, ha="center", va="top", fontsize=8)
    first = next(iter(shares))
    foot = f"Green: of the query's class; red: of another. Rows from {first}'s fewest right hits to its most."
    figure.text(0.5, 0.05 / height, foot, ha="center", va="bottom", fontsize=5.5)

    side = info.image_size or SIDE
    queries = shown.drop_duplicates("place")
    pictures = thumbnails(store, splits[0], queries["query"].to_numpy(), side)
    head_style = {"ha": "center", "va": "bottom", "fontsize": 6.5}
    axis.text(NAME + 0.5, -0.12, "query", **head_style)
    for row, (picture, name) in enumerate(zip(pictures, queries["query_class"], strict=True)):
        middle = (row + 0.5) * step
        axis.text(NAME - 0.15, middle, _wrapped(name), ha="right", va="center", fontsize=5.5)
        _show(axis, picture, NAME, row * step, "black")
    for start, (method, share) in zip(starts, shares.items(), strict=True):
        title = f"{method}   ({share:.0f} % of the first {k} hits right, over all queries)"
        axis.text(start + k * step / 2, -0.12, title, **head_style)
        hits = shown[shown["method"] == method]
        pictures = thumbnails(store, splits[1], hits["hit"].to_numpy(), side)
        for hit, picture in zip(hits.itertuples(), pictures, strict=True):
            colour = RIGHT if hit.is_right else WRONG
            _show(axis, picture, start + (hit.rank - 1) * step, (hit.place - 1) * step, colour)
    return figure


def _show(axis: Axes, picture: np.ndarray, left: float, top: float, colour: str) -> None:
    extent = (left, left + 1, top + 1, top)
    axis.imshow(picture, extent=extent, interpolation="lanczos", aspect="auto")
    outline(axis, (left, top, left + 1, top + 1), colour, linewidth=1.3, joinstyle="miter")


def _wrapped(name: str) -> str:
    """A class's name in two lines; of synonyms, as ImageNet lists them, the first."""
    name = name.replace("_", " ").split(",")[0]
    return "\n".join(textwrap.wrap(name, 13, max_lines=2, placeholder="…"))


def main() -> None:
    """Draw Figure A.3 of two runs."""
    parser = ArgumentParser(prog="cld figure-a3", description=main.__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--checkpoints", nargs=2, required=True, help="of the two runs")
    parser.add_argument("--labels", nargs=2, required=True, help="names of the two methods")
    parser.add_argument("--queries", type=int, default=8, help="rows")
    parser.add_argument("--split", default="test", help="the queries' (default: %(default)s)")
    parser.add_argument("--from", dest="source", default="train", help="the hits' (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ...; auto: a GPU if there is one")
    add_output_arguments(parser)
    args = parser.parse_args()
    if len(set(args.labels)) < 2:
        raise InputError(f"--labels {' '.join(args.labels)}: name the two methods differently")
    require_whole(args.store)
    info = read_info(args.store)
    labels = read_labels(args.store, args.split), read_labels(args.store, args.source)
    n_images = len(labels[0])
    if not 1 <= args.queries <= n_images:
        raise InputError(f"--queries {args.queries} is outside 1..{n_images}, the images of '{args.split}'")
    found = {
        label: retrieve(args.store, args.split, args.source, N_HITS, checkpoint, args.device)
        for label, checkpoint in zip(args.labels, args.checkpoints, strict=True)
    }
    n_right = found[args.labels[0]].is_right.sum(axis=1)
    queries = choose_queries(n_right, labels[0], args.queries)
    shown = hits_table(queries, found, labels, info.classes)
    shares = {label: 100 * method.is_right.mean() for label, method in found.items()}
    save_outputs(args, draw(args.store, info, (args.split, args.source), shown, shares), shown)
