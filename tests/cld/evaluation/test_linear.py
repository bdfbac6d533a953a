"""The linear protocols as a whole, and what they refuse."""

from itertools import count

import numpy as np
import pytest
import torch
from classifier_stores import write_checkpoint, write_colours, write_labelled, write_plain_photos
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cld.config import load_protocol
from cld.data import read_labels
from cld.evaluation.linear import score_linear, score_linear_published
from cld.evaluation.scored_run import load_scored_run
from cld.evaluation.statistics import unpacked
from cld.runtime.errors import InputError
from cld.training.checkpoint import load_checkpoint, save_checkpoint
from cld.training.run_id import run_id

FAST = {"l2": 1e-2, "max_evaluations": 1000, "split": "test"}
PUBLISHED = {**load_protocol("paper", "linear_published"), "batch_size": 16, "faster": FAST}
PUBLISHED |= {"lr": 2.0, "epochs": 12, "milestones": [8, 10]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("linear") / "s.h5", (30, 25, 10), (10, 12, 9))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, tiny_run):
    return write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint.pt", tiny_run(seed=3))


def test_it_is_scikit_learns_classifier_on_the_backbones_features(store, checkpoint, tiny_run):
    score = score_linear(store, FAST, checkpoint, "cpu")
    run = load_scored_run(store, checkpoint, "cpu")
    train, test = (run.features(run.encoder.backbone, split).numpy() for split in ("train", "test"))
    labels = read_labels(store, "test")
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=1 / (1e-2 * len(train)), tol=1e-8))
    right = reference.fit(train, read_labels(store, "train")).predict(test) == labels
    assert score["metrics"]["top1"] == pytest.approx(100 * right.mean())
    assert score["metrics"]["top5"] == 100  # of three classes
    details = score["details"]
    assert np.array_equal(unpacked(details["hits"]["top1"], details["n"]), right)
    assert details["fit"]["converged"]
    assert (score["run"], score["seed"]) == (run_id(tiny_run(seed=3)), 3)


@pytest.fixture
def published(tmp_path):
    """The published kind, as ``score_linear`` is called; each time from the beginning."""
    calls = count()

    def score(*subject):
        return score_linear_published(*subject, score=tmp_path / f"published-{next(calls)}.json")

    return score


@pytest.fixture(params=["linear", "published"])
def kind(request, published):
    """A kind and its settings."""
    return (score_linear, FAST) if request.param == "linear" else (published, PUBLISHED)


def test_the_published_kind_learns_and_states_how_far_the_faster_one_is(tmp_path, checkpoint, published):
    store = write_colours(tmp_path / "s.h5", (30, 30, 30), (60, 60, 60), noise=10)
    score, faster = (
        published(store, PUBLISHED, checkpoint, "cpu"),
        score_linear(store, FAST, checkpoint, "cpu")["metrics"],
    )
    details = score["details"]
    assert score["metrics"]["top1"] > 50  # of three classes
    assert details["faster"] == faster
    assert details["faster_minus_published"]["top1"] == faster["top1"] - score["metrics"]["top1"]


def test_the_backbone_stays_as_it_was(store, checkpoint, published, monkeypatch):
    run = load_scored_run(store, checkpoint, "cpu")
    before = {name: value.clone() for name, value in run.encoder.state_dict().items()}
    monkeypatch.setattr("cld.evaluation.linear.load_scored_run", lambda *_: run)
    published(store, PUBLISHED, checkpoint, "cpu")
    assert all(torch.equal(value, before[name]) for name, value in run.encoder.state_dict().items())


def test_stores_of_jpegs(tmp_path, tiny_run, kind):
    store = write_plain_photos(tmp_path / "s.h5", 30, 60)
    score, settings = kind
    scores = [
        score(
            store,
            settings,
            write_checkpoint(tmp_path / "c.pt", tiny_run(overrides={"image_size": 8, "workers": n})),
            "cpu",
        )
        for n in (0, 2)
    ]
    assert scores[0] == scores[1]
    assert scores[0]["metrics"]["top1"] > 50  # of three classes


def test_the_split_that_is_asked_for_is_scored(tmp_path, checkpoint):
    store = write_labelled(tmp_path / "s.h5", train=[0, 1, 2] * 9, val=[0, 1, 2] * 3, test=[0, 1, 2])
    score = score_linear(store, {**FAST, "split": "val"}, checkpoint, "cpu")
    assert score["details"]["n"] == 9


@pytest.mark.parametrize(
    ("written", "configured", "message"),
    [
        (None, None, r"c\.pt: holds no 'config'; name a run's checkpoint"),
        ({}, {"backbone.width": 8}, "its weights are of another architecture"),
        (*[{"backbone.name": "densenet121"}] * 2, r"densenet121' takes no images of 8 x 8 pixels"),
    ],
    ids=["of another kind", "of another architecture", "that takes no images of this size"],
)
def test_a_network_that_cannot_be_scored_is_one_line(tmp_path, store, tiny_run, written, configured, message):
    path, content = tmp_path / "c.pt", {"network": {}}
    if configured is not None:
        encoder = load_checkpoint(write_checkpoint(path, tiny_run(overrides=written)))["encoder"]
        content = {"config": tiny_run(overrides=configured), "encoder": encoder}
    save_checkpoint(path, content)
    with pytest.raises(InputError, match=message) as told:
        score_linear(store, FAST, path, "cpu")
    assert "\n" not in str(told.value)
