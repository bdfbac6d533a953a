"""Scores of runs by kNN, of raw pixels and of chance, against slow and obvious references."""

import numpy as np
import pytest
from classifier_stores import write_checkpoint
from sklearn.neighbors import KNeighborsClassifier

from cld.data import read_info, read_split
from cld.evaluation.baselines import score_chance, score_pixel_knn
from cld.evaluation.knn import score_knn
from cld.training.run_id import run_id

PIXEL_SETTINGS = {
    "k": 7,
    "temperature": 0.1,
    "split": "test",
    "side": 8,
    "max_images": {"train": 100, "test": 100},
}


def test_chance_answers_the_most_frequent_training_class(coloured_store):
    metrics = score_chance(coloured_store, {"split": "test"})["metrics"]
    assert metrics == {"top1": pytest.approx(100 * 4 / 20), "top5": 100}


def test_pixels_agree_with_scikit_learn(coloured_store):
    info, train_split, test_split = (
        read_info(coloured_store),
        read_split(coloured_store, "train"),
        read_split(coloured_store, "test"),
    )

    def pixels(split):
        return ((split.images / 255 - info.mean) / info.std).reshape(len(split), -1)

    # Vote weights exp((1 - distance) / T) of cosine distances are exp(similarity / T).
    reference = KNeighborsClassifier(7, weights=lambda d: np.exp((1 - d) / 0.1), metric="cosine")
    reference.fit(pixels(train_split), train_split.labels)
    expected = 100 * reference.score(pixels(test_split), test_split.labels)
    ours = score_pixel_knn(coloured_store, PIXEL_SETTINGS)
    assert ours["metrics"]["top1"] == pytest.approx(expected)


def test_a_runs_score_uses_its_temperature_and_names_it(coloured_store, tiny_run, tmp_path):
    config = tiny_run(overrides={"temperature": 0.37}, seed=3)
    checkpoint = write_checkpoint(tmp_path / "checkpoint.pt", config)
    score = score_knn(coloured_store, {"k": 5, "temperature": None, "split": "test"}, str(checkpoint))
    assert score["run"] == run_id(config) and score["seed"] == 3
    assert score["settings"]["temperature"] == 0.37
    named = score_knn(coloured_store, {"k": 5, "temperature": 0.37, "split": "test"}, str(checkpoint))
    assert named["metrics"] == score["metrics"]


def test_of_large_splits_the_same_sample_takes_part_every_time(coloured_store):
    settings = {**PIXEL_SETTINGS, "max_images": {"train": 20, "test": 6}}
    first, second = score_pixel_knn(coloured_store, settings), score_pixel_knn(coloured_store, settings)
    assert first == second
    assert round(first["metrics"]["top1"] * 6 / 100, 6).is_integer()  # of six images
