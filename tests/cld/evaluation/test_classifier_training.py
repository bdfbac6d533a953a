"""Random views and the training of classifiers: which images, where from, at which rate."""

import numpy as np
import pytest
import torch
from classifier_stores import write_plain_photos

from cld.data import Split, read_info, write_store
from cld.data.epoch_sampler import EpochSampler
from cld.data.features import extract_features
from cld.evaluation.classifier.random_views import TrainingImages
from cld.evaluation.classifier.training import linear_head, train_classifier
from cld.runtime import distributed
from cld.runtime.errors import InputError
from cld.training.resumable import Resumable

CPU = torch.device("cpu")
SETTINGS = {"batch_size": 4, "epochs": 3, "milestones": [1, 2], "gamma": 0.1, "crop_scale": [0.08, 1.0]}


@pytest.fixture(scope="module", params=["arrays", "jpeg"])
def store(request, tmp_path_factory):
    """Seven images of one colour each, which no crop and no flip changes."""
    path = tmp_path_factory.mktemp("training") / "s.h5"
    if request.param == "jpeg":
        return write_plain_photos(path, 7, 3)
    colours = np.random.default_rng(0).integers(0, 256, (7, 1, 1, 3), dtype=np.uint8)
    split = Split(np.tile(colours, (1, 8, 8, 1)), np.arange(7) % 3)
    facts = {"dataset": "d", "preset": "demo", "sources": {}, "config": {}}
    write_store(path, {"train": split}, classes=["a", "b", "c"], **facts)
    return path


def images_of(store, rows, workers=0, side=6):
    return TrainingImages(store, "train", np.array(rows), read_info(store), side, CPU, workers)


def views_of(store, rows, workers=0, seed=0):
    """Which image each view of two epochs is of, and the views."""
    sampler = EpochSampler(0, len(rows), 2, stop=2 * -(-len(rows) // 2), equal_batches=True)
    with images_of(store, rows, workers).random_views(sampler, (0.08, 1.0), seed) as batches:
        return torch.cat([index for _, index in sampler]), torch.cat(list(batches))


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5, 6], [6, 2, 5]])
def test_views_show_the_images_of_their_indices(store, rows):
    index, views = views_of(store, rows)
    expected = extract_features(torch.nn.Identity(), store, "train", read_info(store), CPU, 6, rows=rows)
    # a colour of a JPEG may round differently at its edge
    torch.testing.assert_close(views, expected[index], rtol=0, atol=4 / 255 / 0.1)
    assert views.shape == (2 * len(rows), 3, 6, 6)


@pytest.fixture(scope="module")
def slopes(tmp_path_factory):
    """Three images that grow brighter from left to right."""
    path = tmp_path_factory.mktemp("slopes") / "s.h5"
    image = np.tile(np.arange(0, 240, 30, dtype=np.uint8)[None, :, None], (8, 1, 3))
    split = Split(np.stack([image] * 3), np.arange(3))
    facts = {"dataset": "d", "preset": "demo", "sources": {}, "config": {}}
    write_store(path, {"train": split}, classes=["a", "b", "c"], **facts)
    return path


def test_views_differ_by_step_and_seed_and_half_are_mirrored(slopes):
    views = torch.cat([views_of(slopes, [0, 1, 2], seed=seed)[1] for seed in range(40)])
    brighter_right = views[..., -1].mean(dim=(1, 2)) > views[..., 0].mean(dim=(1, 2))
    assert 0.35 < brighter_right.float().mean() < 0.65
    assert len({tuple(view.flatten().tolist()) for view in views}) > 60
    again = views_of(slopes, [0, 1, 2], seed=0)[1]
    assert torch.equal(again, views[: len(again)])


def test_views_of_jpegs_do_not_depend_on_processes(tmp_path):
    store = write_plain_photos(tmp_path / "s.h5", 20, 3)
    _, views = views_of(store, range(20))
    _, others = views_of(store, range(20), workers=2)
    assert torch.equal(views, others)


def kept(folder):
    return Resumable(folder / "t.partial.pt", {}, every_s=60)


def test_the_rate_falls_at_the_milestones_for_every_group(slopes, tmp_path):
    images = images_of(slopes, range(3), side=8)
    head, other = linear_head(192, 3, seed=0), torch.nn.Parameter(torch.zeros(3))
    both = torch.nn.ParameterList([*head.parameters(), other])
    optimiser = torch.optim.SGD([{"params": head.parameters()}, {"params": [other], "lr": 1.0}], 0.01)
    seen = []

    def classify(views):
        seen.append([group["lr"] for group in optimiser.param_groups])
        return head(views.flatten(1)) + other

    train_classifier(images, torch.arange(3), classify, both, optimiser, SETTINGS, 0, "test", kept(tmp_path))
    np.testing.assert_allclose(seen, [[0.01, 1.0], [0.001, 0.1], [0.0001, 0.01]])


def test_training_that_diverges_ends_and_says_so(slopes, tmp_path):
    images = images_of(slopes, range(3), side=8)
    head = linear_head(192, 3, seed=0)
    optimiser = torch.optim.SGD(head.parameters(), 1e38, momentum=0.9)
    settings = {**SETTINGS, "epochs": 50}
    loss = train_classifier(
        images,
        torch.arange(3),
        lambda views: head(views.flatten(1)),
        head,
        optimiser,
        settings,
        0,
        "test",
        kept(tmp_path),
    )
    assert not np.isfinite(loss)


def test_what_the_network_draws_follows_from_the_seed(slopes, tmp_path):
    images = images_of(slopes, range(3), side=8)
    weights = []
    for number in (1, 2, 3):
        torch.manual_seed(number)
        head = linear_head(192, 3, seed=0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), head)
        optimiser, seed = torch.optim.SGD(head.parameters(), 0.1), int(number == 3)
        partial = Resumable(tmp_path / f"{number}.partial.pt", {}, every_s=60)
        labels = torch.arange(3)
        train_classifier(images, labels, network, network, optimiser, SETTINGS, seed, "test", partial)
        weights.append(head.weight.detach())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_more_processes_than_images_of_a_batch_are_refused(slopes, tmp_path, monkeypatch):
    images = images_of(slopes, range(3), side=8)
    head = linear_head(192, 3, seed=0)
    optimiser = torch.optim.SGD(head.parameters(), 0.1)
    monkeypatch.setattr(distributed, "world_size", lambda: 4)
    with pytest.raises(InputError, match="4 processes cannot share 3 images of a batch: start 3 at most"):
        train_classifier(images, torch.arange(3), head, head, optimiser, SETTINGS, 0, "test", kept(tmp_path))
