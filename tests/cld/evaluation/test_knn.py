"""Scoring by the command: runs, raw pixels and chance, each against a slow and obvious reference."""

import sys

import numpy as np
import pytest
from classifier_stores import write_checkpoint, write_colours
from sklearn.neighbors import KNeighborsClassifier

from cld.data import read_info, read_split
from cld.evaluation import evaluate_command
from cld.evaluation.baselines import score_chance, score_pixel_knn
from cld.evaluation.knn import score_knn
from cld.runtime.errors import run_command
from cld.training.run_id import run_id


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three classes; the last is rare."""
    return write_colours(tmp_path_factory.mktemp("protocols") / "s.h5", (20, 15, 5), (4, 9, 7))


PIXEL_SETTINGS = {
    "k": 7,
    "temperature": 0.1,
    "split": "test",
    "side": 8,
    "max_images": {"train": 100, "test": 100},
}


def test_chance_answers_the_most_frequent_training_class(store):
    metrics = score_chance(store, {"split": "test"})["metrics"]
    assert metrics == {"top1": pytest.approx(100 * 4 / 20), "top5": 100}


def test_pixels_agree_with_scikit_learn(store):
    info, train_split, test_split = read_info(store), read_split(store, "train"), read_split(store, "test")

    def pixels(split):
        return ((split.images / 255 - info.mean) / info.std).reshape(len(split), -1)

    # Vote weights exp((1 - distance) / T) of cosine distances are exp(similarity / T).
    reference = KNeighborsClassifier(7, weights=lambda d: np.exp((1 - d) / 0.1), metric="cosine")
    reference.fit(pixels(train_split), train_split.labels)
    expected = 100 * reference.score(pixels(test_split), test_split.labels)
    ours = score_pixel_knn(store, PIXEL_SETTINGS)
    assert ours["metrics"]["top1"] == pytest.approx(expected)


def test_a_runs_score_uses_its_temperature_and_names_it(store, tiny_run, tmp_path):
    config = tiny_run(overrides={"temperature": 0.37}, seed=3)
    checkpoint = write_checkpoint(tmp_path / "checkpoint.pt", config)
    score = score_knn(store, {"k": 5, "temperature": None, "split": "test"}, str(checkpoint))
    assert score["run"] == run_id(config) and score["seed"] == 3
    assert score["settings"]["temperature"] == 0.37
    named = score_knn(store, {"k": 5, "temperature": 0.37, "split": "test"}, str(checkpoint))
    assert named["metrics"] == score["metrics"]


@pytest.fixture
def evaluate(store, tmp_path, monkeypatch):
    """Run the command in this process; gives the score's path."""

    def run(*arguments):
        out = tmp_path / "score.json"
        files = ["--preset", "demo", "--store", str(store), "--score", str(out)]
        monkeypatch.setattr(sys, "argv", ["evaluate", *arguments, *files])
        run_command(evaluate_command.main)
        return out

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["knn"], "error: knn: scores a run; name its checkpoint with --checkpoint"),
        (["knn", "--checkpoint", "none.pt"], "error: none.pt: no such checkpoint"),
        (["knn", "--checkpoint", "none.pt", "--device", "abacus"], "error: device 'abacus' cannot be used"),
    ],
)
def test_bad_input_is_one_line(evaluate, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        evaluate(*arguments)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert printed.startswith(message) and printed.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_of_large_splits_the_same_sample_takes_part_every_time(store):
    settings = {**PIXEL_SETTINGS, "max_images": {"train": 20, "test": 6}}
    first, second = score_pixel_knn(store, settings), score_pixel_knn(store, settings)
    assert first == second
    assert round(first["metrics"]["top1"] * 6 / 100, 6).is_integer()  # of six images
