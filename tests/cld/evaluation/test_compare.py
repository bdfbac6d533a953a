"""Two methods by their scores: paired by seed and image, and errors where they cannot be."""

import json
import sys

import numpy as np
import pytest
from results_tree import PROVENANCE

from cld.evaluation.compare import compare
from cld.evaluation.compare import main as compare_main
from cld.evaluation.statistics import packed_hits
from cld.runtime.errors import InputError, run_command

HITS = np.random.default_rng(0).random((4, 200)) < np.array([0.5, 0.5, 0.7, 0.7])[:, None]


def score(run, seed, hits):
    return {
        "protocol": "knn",
        "preset": "demo",
        "dataset": "cifar10",
        "run": run,
        "seed": seed,
        "metrics": {"top1": 100 * float(hits.mean())},
        "settings": {"split": "test"},
        "details": {"n": len(hits), "hits": {"top1": packed_hits(hits)}},
        "provenance": dict(PROVENANCE),
    }


@pytest.fixture
def sides():
    """Two seeds of two methods, the second side's in the other order."""
    return [score("a0", 0, HITS[0]), score("a1", 1, HITS[1])], [
        score("b1", 1, HITS[3]),
        score("b0", 0, HITS[2]),
    ]


def test_the_difference_is_paired_by_seed_and_image(sides):
    found = compare(*sides, "top1")
    values = 100 * HITS.mean(axis=1)
    assert found["a"]["mean"] == pytest.approx(values[:2].mean())
    assert found["b"]["runs"] == ["b0", "b1"] and found["b"]["sd"] == pytest.approx(values[2:].std(ddof=1))
    difference = found["difference"]
    assert difference["mean"] == pytest.approx(values[2:].mean() - values[:2].mean())
    assert difference["low"] < difference["mean"] < difference["high"]
    assert (found["n_seeds"], found["n_images"]) == (2, 200)


def test_a_method_does_not_differ_from_itself(sides):
    difference = compare(sides[0], sides[0], "top1")["difference"]
    assert (difference["mean"], difference["low"], difference["high"]) == (0, 0, 0)


def test_pairing_by_image_narrows_the_interval(sides):
    """The same images are hard for both: their difference is more certain than that of shuffled ones."""
    base = HITS[0]
    better = base | (np.arange(200) < 40)
    paired = compare([score("a", 0, base)], [score("b", 0, better)], "top1")["difference"]
    shuffled = score("b", 0, np.random.default_rng(1).permutation(better))
    unpaired = compare([score("a", 0, base)], [shuffled], "top1")["difference"]
    assert paired["mean"] == pytest.approx(unpaired["mean"])
    assert paired["high"] - paired["low"] < 0.7 * (unpaired["high"] - unpaired["low"])


def test_without_hits_seeds_alone_are_drawn_and_it_says_so(sides):
    del sides[0][0]["details"]
    found = compare(*sides, "top1")
    assert found["n_images"] is None and "no record of which images were right" in found["note"]
    gains = 100 * (HITS[2:].mean(axis=1) - HITS[:2].mean(axis=1))
    assert found["difference"]["low"] == pytest.approx(gains.min())
    assert found["difference"]["high"] == pytest.approx(gains.max())
    found = compare(sides[0][:1], sides[1][1:], "top1")
    assert found["difference"]["low"] is None and found["note"].startswith("no interval")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(protocol="nmi"), "differ in their protocol \\(knn, nmi\\)"),
        (lambda s: s.update(dataset="stl10"), "differ in their dataset"),
        (lambda s: s["settings"].update(split="val"), "differ in their split"),
        (lambda s: s["provenance"].update(data_checksum="d"), "differ in their checksum of the data"),
        (lambda s: s.update(seed=7), "the seeds of the two are 0, 1 and 0, 7; give both the same seeds"),
        (lambda s: s.update(metrics={"top5": 1.0}), "no metric 'top1'; it has top5"),
    ],
)
def test_what_cannot_be_paired_is_one_line(sides, change, message):
    change(sides[1][0])
    with pytest.raises(InputError, match=message) as told:
        compare(*sides, "top1")
    assert "\n" not in str(told.value)


def test_the_command_prints_and_writes(sides, tmp_path, monkeypatch, capsys):
    paths = [tmp_path / f"{i}.json" for i in range(4)]
    for path, one in zip(paths, sides[0] + sides[1], strict=True):
        path.write_text(json.dumps(one))
    out = tmp_path / "out.json"
    words = ["compare", "--a", *paths[:2], "--b", *paths[2:], "--out", out]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    run_command(compare_main)
    printed = capsys.readouterr().out
    assert "95 % interval" in printed and "2 seeds, 200 images" in printed
    assert json.loads(out.read_text()) == compare(*sides, "top1")
    paths[0].write_text(json.dumps({**sides[0][0], "metric": 3}))
    with pytest.raises(SystemExit) as ended:
        run_command(compare_main)
    printed = capsys.readouterr().err
    assert ended.value.code == 2 and printed.count("\n") == 1
    assert "unknown key 'metric'; did you mean 'metrics'?" in printed
