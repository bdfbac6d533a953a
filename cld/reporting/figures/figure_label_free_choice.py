"""Choosing a hyper-parameter without labels: label-free scores beside a labelled one, over its values.

    cld figure-choice --key cld.weight --scores */unsupervised.json */knn.json \\
        --figure choice.png --csv choice.csv

Each run has a score by the protocol ``unsupervised`` and one by another protocol, which reads labels.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from cld.config import flat
from cld.evaluation.compare import read_score
from cld.reporting.style import (
    add_output_arguments,
    caption,
    dataset_name,
    draw_panel,
    panels_figure,
    save_outputs,
)
from cld.runtime.arguments import ArgumentParser
from cld.runtime.errors import InputError

LABEL_FREE = {"view_nmi": "NMI of two views' groups", "view_retrieval": "views that find each other"}
#: In print; other keys stand as they are.
KEYS = {"cld.weight": "λ", "temperature": "T_I", "cld.temperature": "T_G", "cld.n_groups": "groups"}
LABELLED_COLOUR, LABEL_FREE_COLOUR = "#0072b2", "#d55e00"
SHOWN = {"knn": "kNN", "top1": "top-1", "top5": "top-5"}
LEAST_RANKED = 3  # values that a rank correlation needs


def tabulate(scores: Sequence[dict], key: str, metric: str) -> pd.DataFrame:
    """One row a run: ``run``, ``seed``, ``key``'s ``value``, the label-free metrics, and ``labelled``.

    Args:
        scores: of the protocol ``unsupervised`` and of one other, in any order.
        key: a dotted key of ``config/run.yaml``.
        metric: of the other protocol.

    Raises:
        InputError: a run lacks one of its two scores, or the scores are not alike.
    """
    sides = [[s for s in scores if (s["protocol"] == "unsupervised") == is_free] for is_free in (True, False)]
    free, labelled = ({score["run"]: score for score in side} for side in sides)
    if not free or free.keys() != labelled.keys():
        lonely = ", ".join(sorted(map(str, free.keys() ^ labelled.keys()))) or "none at all"
        raise InputError(
            f"every run needs two scores, by unsupervised and by one other protocol; not so: {lonely}"
        )
    for what in ("preset", "dataset"):
        _require_alike(what, [score[what] for score in scores])
    _require_alike("protocol", [score["protocol"] for score in sides[1]])
    _require_alike("number of groups", [score["settings"]["groups"] for score in sides[0]])
    rows = []
    for run, score in free.items():
        configuration = flat(score["details"]["configuration"])
        if key not in configuration:
            raise InputError(f"--key {key}: runs have no such key; see config/run.yaml")
        if metric not in labelled[run]["metrics"]:
            known = ", ".join(labelled[run]["metrics"])
            raise InputError(f"--metric {metric}: {labelled[run]['protocol']} has {known}")
        measured = {name: score["metrics"][name] for name in LABEL_FREE}
        measured["labelled"] = labelled[run]["metrics"][metric]
        rows.append({"run": run, "seed": score["seed"], "value": configuration[key], **measured})
    table = pd.DataFrame(rows)
    if table["value"].nunique() < 2:
        raise InputError(
            f"--key {key}: all runs have {table['value'].iloc[0]}; name scores of runs that vary it"
        )
    return table.sort_values(["value", "seed"], ignore_index=True)


def _require_alike(what: str, values: Sequence[object]) -> None:
    if len(set(values)) > 1:
        shown = ", ".join(sorted(set(map(str, values))))
        raise InputError(f"the scores differ in their {what} ({shown}); score all runs alike")


def draw(table: pd.DataFrame, key: str, labelled: str, heading: str) -> Figure:
    """The figure: a panel for each score over the key's values, and what each score would choose."""
    scores = {"labelled": f"{labelled} (labelled)", **LABEL_FREE}
    seeds = " Line: mean over seeds, with its standard deviation." if table["seed"].nunique() > 1 else ""
    figure, axes = panels_figure(len(scores), heading, f"Ring: what a score would choose.{seeds}")
    for axis, (column, title) in zip(axes, scores.items(), strict=True):
        colour = LABELLED_COLOUR if column == "labelled" else LABEL_FREE_COLOUR
        by_value = table.groupby("value")[column].agg(["mean", "std"])
        places = np.arange(len(by_value))
        draw_panel(axis, places, by_value["mean"].to_numpy(), by_value["std"].to_numpy(), colour)
        axis.plot(
            by_value.index.get_indexer(table["value"]), table[column], ".", color=colour, markersize=3.5
        )
        axis.set_xticks(places, [f"{v:g}" if isinstance(v, float | int) else str(v) for v in by_value.index])
        axis.set_title(title + _agreement(table, column), color=colour, pad=5)
        axis.set_xlabel(KEYS.get(key, key))
    return figure


def _agreement(table: pd.DataFrame, column: str) -> str:
    """How far a label-free score ranks the values as the labelled one does, for a title."""
    means = table.groupby("value")[[column, "labelled"]].mean()
    if column == "labelled" or len(means) < LEAST_RANKED or means.nunique().min() < 2:
        return ""
    return f"\nrank correlation with labelled: {spearmanr(means[column], means['labelled']).statistic:.2f}"


def main() -> None:
    """Draw label-free scores against a labelled one, over a key that varies between runs."""
    parser = ArgumentParser(prog="cld figure-choice", description=main.__doc__)
    parser.add_argument("--key", required=True, help="what varies: a key of config/run.yaml, e.g. cld.weight")
    parser.add_argument("--scores", nargs="+", required=True, help="two score files a run")
    parser.add_argument("--metric", default="top1", help="of the labelled score (default: %(default)s)")
    add_output_arguments(parser)
    args = parser.parse_args()
    scores = [read_score(path) for path in args.scores]
    table = tabulate(scores, args.key, args.metric)
    protocol = next(score["protocol"] for score in scores if score["protocol"] != "unsupervised")
    preset, dataset = scores[0]["preset"], scores[0]["dataset"]
    title = f"Choosing {KEYS.get(args.key, args.key)} without labels on {dataset_name(dataset)}"
    columns = {"value": args.key, "labelled": f"{protocol}_{args.metric}"}
    name = " ".join(SHOWN.get(word, word) for word in (protocol, args.metric))
    figure = draw(table, args.key, name, caption(title, preset, dataset))
    save_outputs(args, figure, table.rename(columns=columns))
