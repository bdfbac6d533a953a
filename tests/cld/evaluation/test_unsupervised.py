"""Scores without labels: the same views every time, of both kinds of stores, and what they measure."""

import numpy as np
import pytest
import torch
from classifier_stores import write_labelled
from photos import photos, write_photos

from cld.config import load_protocol
from cld.data import read_info
from cld.evaluation.retrieval import nearest_rows
from cld.evaluation.scored_run import ScoredRun
from cld.evaluation.statistics import unpacked
from cld.evaluation.unsupervised import features_of_views, score_unsupervised
from cld.runtime.errors import InputError

SETTINGS = {**load_protocol("demo", "unsupervised"), "max_images": 30, "groups": 4}


class Pixels(torch.nn.Module):
    """An encoder whose features are what it sees, with unit rows."""

    def forward(self, images):
        return torch.nn.functional.normalize(images.flatten(1), dim=1)


@pytest.fixture(scope="module")
def jpeg_store(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("views") / "s.h5", {"train": photos(20)})


def test_a_run_is_scored_without_labels(tmp_path, tiny_store, tiny_checkpoint):
    score = score_unsupervised(str(tiny_store), SETTINGS, tiny_checkpoint, "cpu")
    assert score == score_unsupervised(str(tiny_store), SETTINGS, tiny_checkpoint, "cpu")
    assert score["seed"] == 2 and score["details"]["n"] == 30
    hits = unpacked(score["details"]["hits"]["view_retrieval"], 30)
    assert score["metrics"]["view_retrieval"] == pytest.approx(100 * hits.mean())
    other = score_unsupervised(str(tiny_store), {**SETTINGS, "seed": 1}, tiny_checkpoint, "cpu")
    assert other["metrics"] != score["metrics"]
    path = write_labelled(tmp_path / "unlabelled.h5", train=[-1] * 30)
    assert score_unsupervised(str(path), SETTINGS, tiny_checkpoint, "cpu")["details"]["n"] == 30


def test_null_takes_the_runs_number_of_groups(tiny_store, tiny_checkpoint):
    score = score_unsupervised(str(tiny_store), {**SETTINGS, "groups": None}, tiny_checkpoint, "cpu")
    assert score["settings"]["groups"] == 3
    with pytest.raises(InputError, match=r"unsupervised.groups 31 is outside 1\.\.30, the images"):
        score_unsupervised(str(tiny_store), {**SETTINGS, "groups": 31}, tiny_checkpoint, "cpu")


def unchanged(config):
    """A run's configuration whose augmentation leaves images as they are."""
    none = {"crop_scale": [1.0, 1.0], "flip_p": 0.0, "jitter": [0.0] * 4, "grayscale_p": 0.0}
    return {**config, "augment": {**config["augment"], **none, "blur_p": 0.0, "solarize_p": 0.0}}


def pixels_of(store, config):
    """A run whose features are what its network sees."""
    return ScoredRun("c.pt", Pixels(), config, store, read_info(store), torch.device("cpu"))


def test_views_that_are_alike_find_each_other(tiny_store, tiny_run):
    run = pixels_of(tiny_store, unchanged(tiny_run(overrides={"image_size": 8})))
    first, second = features_of_views(run, np.arange(36), SETTINGS)
    assert torch.equal(nearest_rows(first, second, 1, is_same=False)[:, 0], torch.arange(36))
    assert torch.allclose(first, second, atol=1e-6)


def test_views_differ_and_depend_on_no_process(jpeg_store, tiny_run):
    runs = [tiny_run(overrides={"image_size": 16, "workers": workers}) for workers in (0, 2)]
    rows = np.arange(1, 20, 2)
    views = [features_of_views(pixels_of(jpeg_store, run), rows, SETTINGS) for run in runs]
    for ours, theirs in zip(*views, strict=True):
        assert ours.shape == (10, 3 * 16 * 16) and torch.equal(ours, theirs)
    first, second = views[0]
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_each_run_sees_the_same_views(kind, tiny_store, jpeg_store, tiny_run):
    """Whatever the run's seed, its number of views and the views' own probabilities."""
    store = tiny_store if kind == "arrays" else jpeg_store
    runs = [
        tiny_run("npid", {"image_size": 8}, seed=0),
        tiny_run("moco", {"image_size": 8, "augment.blur_p": [0.0, 0.0, 1.0]}, seed=5),
    ]
    assert [run["views"] for run in runs] == [2, 3]
    ours, theirs = (features_of_views(pixels_of(store, run), np.arange(12), SETTINGS) for run in runs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
