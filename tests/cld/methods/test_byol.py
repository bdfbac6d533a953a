"""BYOL against a slow, obvious reference."""

import math

import pytest
import torch
from torch.nn import functional as F

from cld.methods import build_method
from cld.methods.byol import rising
from cld.runtime.errors import InputError

N, B = 20, 8


@pytest.fixture
def method(tiny_run):
    torch.manual_seed(0)
    method = build_method(tiny_run("byol", {"cld.weight": 0}), N)
    for weights in method.target.parameters():  # as if both had been trained for a while
        weights.add_(torch.randn_like(weights) * 0.1)
    return method


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return [torch.randn(B, 3, 8, 8) for _ in range(2)], torch.randperm(N)[:B]


def slow_loss(method, views):
    """Equation 2 of the paper for each of the two views, summed; differentiable."""
    total = 0
    for online, other in ((0, 1), (1, 0)):
        prediction = method.predictor(method.encoder.head(method.encoder.backbone(views[online])))
        with torch.no_grad():
            target = method.target.head(method.target.backbone(views[other]))
        for q, z in zip(prediction, target, strict=True):
            total = total + ((q / q.norm() - z / z.norm()) ** 2).sum() / B
    return total


def test_loss_and_gradient_are_those_of_prediction_and_target_both_ways(method, batch):
    views, index = batch
    step, reference = method(views, index), slow_loss(method, views)
    assert step.loss.item() == pytest.approx(reference.item(), rel=1e-5)
    weights = [*method.encoder.parameters(), *method.predictor.parameters()]
    gradients = (torch.autograd.grad(loss, weights) for loss in (step.loss, reference))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert step.logs["positive_similarity"].item() == pytest.approx(1 - step.loss.item() / 4, rel=1e-5)


def test_the_target_carries_no_gradient_and_both_views_do(method, batch):
    step = method(*batch)
    step.loss.backward()
    assert len(step.group_inputs) == 2
    assert all(weights.grad is None for weights in method.target.parameters())
    assert all(weights.grad is not None for weights in method.predictor.parameters())


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_after_the_step_the_target_follows_slower_and_slower(method, batch, progress):
    old = [weights.clone() for weights in method.target.parameters()]
    statistics = [buffer.clone() for buffer in method.target.buffers()]
    method.after_step(method(*batch), progress)
    momentum = 1 - (1 - method.momentum) * (math.cos(math.pi * progress) + 1) / 2
    for now, before, online in zip(method.target.parameters(), old, method.encoder.parameters(), strict=True):
        torch.testing.assert_close(now.data, momentum * before + (1 - momentum) * online.data)
    assert any(not torch.equal(a, b) for a, b in zip(method.target.buffers(), statistics, strict=True))


def test_momentum_rises_from_its_start_to_one():
    values = [rising(0.99, progress / 10) for progress in range(11)]
    assert values[0] == pytest.approx(0.99) and values[-1] == 1
    assert values == sorted(values)


def test_the_target_starts_as_a_copy(tiny_run):
    method = build_method(tiny_run("byol"), N).method
    own, target = method.encoder.state_dict(), method.target.state_dict()
    assert all(torch.equal(own[name], target[name]) for name in own)


def test_predicting_its_own_target_would_cost_nothing(method, batch):
    views, index = batch
    method.predictor = torch.nn.Identity()
    method.target.load_state_dict(method.encoder.state_dict())
    assert method([views[0], views[0]], index).loss.item() == pytest.approx(0, abs=1e-5)
    assert F.cosine_similarity(*(method.encoder(view) for view in views)).mean() < 1


def test_one_view_is_not_enough(tiny_run):
    config = tiny_run("byol", {"cld.weight": 0})
    with pytest.raises(InputError, match="views 1: BYOL predicts one view from another; set views=2"):
        build_method({**config, "views": 1}, N)
