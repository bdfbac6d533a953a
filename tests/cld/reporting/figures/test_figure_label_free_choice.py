"""Label-free scores against a labelled one: the table behind the figure, what is drawn, what is refused."""

import json
import sys

import pandas as pd
import pytest
from results_tree import score

from cld.reporting.figures.figure_label_free_choice import draw, main, tabulate
from cld.reporting.style import plt
from cld.runtime.errors import InputError


def pair(weight, seed, nmi, retrieval, top1):
    """A run's two scores."""
    free, labelled = (score(0, seed, f"run-{weight}-{seed}", by) for by in ("unsupervised", "knn"))
    free["metrics"] = {"view_nmi": nmi, "view_retrieval": retrieval}
    free["settings"] = {"groups": 8}
    free["details"] = {"n": 9, "configuration": {"cld": {"weight": weight}, "method": "npid"}}
    return [free, {**labelled, "metrics": {"top1": top1}}]


@pytest.fixture
def scores():
    return [
        *pair(1.0, 0, 40.0, 9.0, 70.0),
        *pair(0.25, 0, 35.0, 10.0, 60.0),
        *pair(0, 0, 30.0, 2.0, 50.0),
        *pair(0, 1, 32.0, 4.0, 52.0),
    ]


def test_scores_are_joined_by_run(scores):
    table = tabulate(scores, "cld.weight", "top1")
    assert table["value"].tolist() == [0, 0, 0.25, 1.0]
    assert table["view_nmi"].tolist() == [30, 32, 35, 40]
    assert table["labelled"].tolist() == [50, 52, 60, 70]


def test_the_figure_shows_means_and_rings_each_scores_choice(scores):
    table = tabulate(scores, "cld.weight", "top1")
    figure = draw(table, "cld.weight", "kNN top-1", "heading")
    lines = [[list(line.get_ydata()) for line in axis.lines] for axis in figure.axes]
    assert [panel[0] for panel in lines] == [[51, 60, 70], [31, 35, 40], [3, 10, 9]], "means"
    assert [panel[1] for panel in lines] == [[70], [40], [10]], "rings"
    assert "1.00" in figure.axes[1].get_title() and "0.50" in figure.axes[2].get_title()
    plt.close(figure)


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (lambda s: s.pop(0), "cld.weight", "not so: run-1.0-0"),
        (lambda s: s.clear(), "cld.weight", "not so: none at all"),
        (lambda s: None, "cld.wait", "--key cld.wait: runs have no such key"),
        (lambda s: None, "method", "all runs have npid; name scores of runs that vary it"),
        (lambda s: s[0].update(dataset="stl10"), "cld.weight", "differ in their dataset"),
        (lambda s: s[1].update(protocol="linear"), "cld.weight", "protocol \\(knn, linear\\)"),
        (lambda s: s[0].update(settings={"groups": 9}), "cld.weight", "number of groups \\(8, 9\\)"),
        (lambda s: s[1].update(metrics={"top5": 1}), "cld.weight", "--metric top1: knn has top5"),
    ],
)
def test_what_cannot_be_shown_is_one_line(scores, change, key, message):
    change(scores)
    with pytest.raises(InputError, match=message) as error:
        tabulate(scores, key, "top1")
    assert "\n" not in str(error.value)


def test_the_command_writes_figure_and_numbers(scores, tmp_path, monkeypatch):
    paths = [tmp_path / f"{n}.json" for n in range(len(scores))]
    for path, content in zip(paths, scores, strict=True):
        path.write_text(json.dumps(content))
    outputs = ["--figure", tmp_path / "a.png", "--csv", tmp_path / "a.csv"]
    arguments = ["figure-choice", "--key", "cld.weight", *outputs, "--scores", *paths]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    main()
    numbers = pd.read_csv(tmp_path / "a.csv")
    assert list(numbers) == ["run", "seed", "cld.weight", "view_nmi", "view_retrieval", "knn_top1"]
    assert numbers["knn_top1"].tolist() == [50, 52, 60, 70] and (tmp_path / "a.png").stat().st_size
