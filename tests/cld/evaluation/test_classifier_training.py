"""Random views and the training of classifiers: which images, where from, at which rate."""

import numpy as np
import pytest
import torch
from classifier_stores import FACTS, write_plain_photos

from cld.data import Split, read_info, write_store
from cld.data.epoch_sampler import EpochSampler
from cld.evaluation.classifier.random_views import random_views
from cld.evaluation.classifier.training import linear_head, train_classifier
from cld.evaluation.scored_run import ScoredRun
from cld.runtime import distributed
from cld.runtime.errors import InputError
from cld.training.resumable import Resumable

SETTINGS = {"batch_size": 4, "epochs": 3, "milestones": [1, 2], "gamma": 0.1, "crop_scale": [0.08, 1.0]}


def write_images(path, images):
    write_store(path, {"train": Split(images, np.arange(len(images)) % 3)}, classes=["a", "b", "c"], **FACTS)
    return path


@pytest.fixture(scope="module", params=["arrays", "jpeg"])
def store(request, tmp_path_factory):
    """Seven images of one colour each, which no crop and no flip changes."""
    path = tmp_path_factory.mktemp("training") / "s.h5"
    if request.param == "jpeg":
        return write_plain_photos(path, 7, 3)
    colours = np.random.default_rng(0).integers(0, 256, (7, 1, 1, 3), dtype=np.uint8)
    return write_images(path, np.tile(colours, (1, 8, 8, 1)))


def run_on(store, seed=0, side=6):
    """A run whose network sees images of ``side`` pixels."""
    config = {"seed": seed, "image_size": side, "workers": 0}
    return ScoredRun("c.pt", torch.nn.Identity(), config, store, read_info(store), torch.device("cpu"))


def views_of(run, rows):
    """Which image each view of two epochs is of, and the views."""
    sampler = EpochSampler(run.config["seed"], len(rows), 2, stop=2 * -(-len(rows) // 2), equal_batches=True)
    with random_views(run, np.array(rows), sampler, (0.08, 1.0)) as batches:
        return torch.cat([index for _, index in sampler]), torch.cat(list(batches))


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5, 6], [6, 2, 5]])
def test_views_show_the_images_of_their_indices(store, rows):
    run = run_on(store)
    index, views = views_of(run, rows)
    # a colour of a JPEG may round differently at its edge
    expected = run.features(run.encoder, "train", rows)[index]
    torch.testing.assert_close(views, expected, rtol=0, atol=4 / 255 / 0.1)
    assert views.shape == (2 * len(rows), 3, 6, 6)


@pytest.fixture(scope="module")
def slopes(tmp_path_factory):
    """Three images that grow brighter from left to right."""
    image = np.tile(np.arange(0, 240, 30, dtype=np.uint8)[None, :, None], (8, 1, 3))
    return write_images(tmp_path_factory.mktemp("slopes") / "s.h5", np.stack([image] * 3))


def test_views_differ_by_step_and_seed_and_half_are_mirrored(slopes):
    views = torch.cat([views_of(run_on(slopes, seed), [0, 1, 2])[1] for seed in range(40)])
    brighter_right = views[..., -1].mean(dim=(1, 2)) > views[..., 0].mean(dim=(1, 2))
    assert 0.35 < brighter_right.float().mean() < 0.65
    assert len({tuple(view.flatten().tolist()) for view in views}) > 60
    assert torch.equal(views_of(run_on(slopes, 0), [0, 1, 2])[1], views[:6])


@pytest.fixture
def trained(slopes, tmp_path):
    """``trained(classify, network, optimiser)``: train on the three slopes; gives the loss."""

    def run(classify, network, optimiser, seed=0, **changes):
        subject = run_on(slopes, seed, side=8), np.arange(3), np.arange(3)
        resumable = Resumable(tmp_path / "t.partial.pt", {}, every_s=60)
        loss = train_classifier(
            *subject, classify, network, optimiser, {**SETTINGS, **changes}, "test", resumable
        )
        resumable.remove()
        return loss

    return run


def network_of(*layers):
    return torch.nn.Sequential(torch.nn.Flatten(), *layers, linear_head(192, 3, seed=0))


def test_the_rate_falls_at_the_milestones_for_every_group(trained):
    network, other = network_of(), torch.nn.Parameter(torch.zeros(3))
    optimiser = torch.optim.SGD([{"params": network.parameters()}, {"params": [other], "lr": 1.0}], 0.01)
    seen = []

    def classify(views):
        seen.append([group["lr"] for group in optimiser.param_groups])
        return network(views) + other

    trained(classify, torch.nn.ParameterList([*network.parameters(), other]), optimiser)
    np.testing.assert_allclose(seen, [[0.01, 1.0], [0.001, 0.1], [0.0001, 0.01]])


def test_training_that_diverges_ends_and_says_so(trained):
    network = network_of()
    optimiser = torch.optim.SGD(network.parameters(), 1e38, momentum=0.9)
    assert not np.isfinite(trained(network, network, optimiser, epochs=50))


def test_what_the_network_draws_follows_from_the_seed(trained):
    weights = []
    for global_seed, seed in ((1, 0), (2, 0), (3, 1)):
        torch.manual_seed(global_seed)
        network = network_of(torch.nn.Dropout())
        trained(network, network, torch.optim.SGD(network.parameters(), 0.1), seed)
        weights.append(network[-1].weight.detach())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_more_processes_than_images_of_a_batch_are_refused(trained, monkeypatch):
    network = network_of()
    monkeypatch.setattr(distributed, "world_size", lambda: 4)
    with pytest.raises(InputError, match="4 processes cannot share 3 images of a batch: start 3 at most"):
        trained(network, network, torch.optim.SGD(network.parameters(), 0.1))
