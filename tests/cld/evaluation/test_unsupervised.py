"""Scores without labels: the same views every time, of both kinds of stores, and what they measure."""

import numpy as np
import pytest
import torch
from photos import photos, write_photos

from cld.config import load_protocol
from cld.data import Split, read_info, write_store
from cld.evaluation import unsupervised
from cld.evaluation.statistics import unpacked
from cld.evaluation.unsupervised import features_of_views, score_unsupervised
from cld.runtime.errors import InputError

CPU = torch.device("cpu")
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
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    splits = {"train": Split(images, np.full(30, -1))}
    path = tmp_path / "unlabelled.h5"
    write_store(path, splits, dataset="stl10", preset="demo", classes=["a"], sources={}, config={})
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


def test_views_that_are_alike_find_each_other(tiny_store, tiny_run):
    rows, info = np.arange(36), read_info(tiny_store)
    config = unchanged(tiny_run(overrides={"image_size": 8}))
    first, second = features_of_views(Pixels(), config, tiny_store, info, rows, SETTINGS, CPU)
    assert torch.equal(unsupervised.nearest_rows(first, second, 1, is_same=False)[:, 0], torch.arange(36))
    assert torch.allclose(first, second, atol=1e-6)


def test_views_differ_and_depend_on_no_process(jpeg_store, tiny_run):
    info, rows = read_info(jpeg_store), np.arange(1, 20, 2)
    views = [
        features_of_views(
            Pixels(),
            tiny_run(overrides={"image_size": 16, "workers": workers}),
            jpeg_store,
            info,
            rows,
            SETTINGS,
            CPU,
        )
        for workers in (0, 2)
    ]
    for ours, theirs in zip(*views, strict=True):
        assert ours.shape == (10, 3 * 16 * 16) and torch.equal(ours, theirs)
    first, second = views[0]
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("kind", ["arrays", "jpeg"])
def test_each_run_sees_the_same_views(kind, tiny_store, jpeg_store, tiny_run):
    """Whatever the run's seed, its number of views and the views' own probabilities."""
    store = tiny_store if kind == "arrays" else jpeg_store
    info, rows = read_info(store), np.arange(12)
    runs = [
        tiny_run("npid", {"image_size": 8}, seed=0),
        tiny_run("moco", {"image_size": 8, "augment.blur_p": [0.0, 0.0, 1.0]}, seed=5),
    ]
    assert [run["views"] for run in runs] == [2, 3]
    ours, theirs = (features_of_views(Pixels(), run, store, info, rows, SETTINGS, CPU) for run in runs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
