"""Figure A.2: drawn from a table's CSV over the sizes of the queue."""

import math
import sys

import pandas as pd
import pytest

from cld.reporting.figures.figure_a2_negatives import draw, main, queue_sizes
from cld.reporting.style import plt
from cld.runtime.errors import InputError


def negatives(scores=("nmi", "retrieval", "knn")):
    """The table's rows at demo scale, each score best in the second one."""
    rows = list(queue_sizes("demo"))
    best = {row: 10.0 - (row != rows[1]) * (1 + n) for n, row in enumerate(rows)}
    lines = [{"row": row, "column": score, "value": best[row]} for score in scores for row in rows]
    return pd.DataFrame(lines).assign(std=float("nan"), n_seeds=1, preset="demo", dataset="cifar10")


def test_each_panel_has_its_scores_in_order_and_a_ring_at_the_best():
    sizes = queue_sizes("demo")
    table = negatives()
    figure = draw(table.assign(negatives=table["row"].map(sizes)).sample(frac=1, random_state=0), "heading")
    for axis in figure.axes:
        shown = [tick.get_text().replace("k", " * 1024").split(" * ") for tick in axis.get_xticklabels()]
        assert [math.prod(map(int, factors)) for factors in shown] == sorted(sizes.values())
        assert [list(line.get_ydata()) for line in axis.lines] == [
            negatives(["nmi"])["value"].tolist(),
            [10.0],
        ]
    plt.close(figure)


@pytest.mark.parametrize("scores", [["nmi", "retrieval", "knn"], ["nmi", "knn"]])
def test_the_command_draws_a_whole_table_and_refuses_a_partial_one(scores, tmp_path, monkeypatch):
    negatives(scores).to_csv(tmp_path / "t.csv", index=False)
    outputs = ["--figure", tmp_path / "f.png", tmp_path / "f.pdf", "--csv", tmp_path / "f.csv"]
    arguments = ["figure-a2", "--preset", "demo", "--table", tmp_path / "t.csv", *outputs]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    if "retrieval" in scores:
        main()
        assert pd.read_csv(tmp_path / "f.csv")["negatives"].tolist() == [*queue_sizes("demo").values()] * 3
        assert (tmp_path / "f.pdf").stat().st_size and (tmp_path / "f.png").stat().st_size
    else:
        with pytest.raises(InputError, match="no number in the columns retrieval; build the table first"):
            main()
