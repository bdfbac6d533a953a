"""NPID against a slow, obvious reference."""

import copy
import math

import pytest
import torch

from cld.methods import build_method

N, B = 20, 8


@pytest.fixture
def method(tiny_run):
    torch.manual_seed(0)
    return build_method(tiny_run("npid", {"cld.weight": 0}), N)


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return [torch.randn(B, 3, 8, 8) for _ in range(2)], torch.randperm(N)[:B]


def test_loss_is_the_mean_over_the_views_of_the_full_softmax(method, batch):
    views, index = batch
    step = method(views, index)
    losses = []
    for view in views:
        for z, i in zip(method.encoder(view).detach(), index, strict=True):
            scores = [math.exp(float(z @ row) / method.temperature) for row in method.bank.memory]
            losses.append(-math.log(scores[i] / sum(scores)))
    assert step.loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert step.logs["instance_loss"].item() == step.loss.item()


def test_positive_similarity_is_that_of_each_image_with_its_own_row(method, batch):
    views, index = batch
    rows = method.bank.memory[index]
    expected = sum((method.encoder(view) * rows).sum(dim=1).mean() for view in views) / 2
    assert method(views, index).logs["positive_similarity"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_every_weight_gets_a_gradient_and_the_bank_none(method, batch):
    method(*batch).loss.backward()
    assert all(weights.grad.abs().sum() > 0 for weights in method.parameters())
    assert not method.bank.memory.requires_grad


def test_the_bank_moves_only_after_the_step_by_each_view_in_turn(method, batch):
    views, index = batch
    before = method.bank.memory.clone()
    step = method(views, index)
    step.loss.backward()
    assert torch.equal(method.bank.memory, before)
    method.after_step(step)
    expected = before.clone()
    for view in views:
        for z, i in zip(copy.deepcopy(method.encoder)(view).detach(), index, strict=True):
            row = 0.5 * expected[i] + 0.5 * z
            expected[i] = row / row.norm()
    torch.testing.assert_close(method.bank.memory, expected)
    others = torch.ones(N, dtype=torch.bool)
    others[index] = False
    assert torch.equal(method.bank.memory[others], before[others])


def test_three_views_count_alike(method, batch):
    views, index = batch
    losses = [method([view], index).loss.item() for view in [*views, views[0]]]
    together = method([*views, views[0]], index).loss.item()
    assert together == pytest.approx(sum(losses) / 3, rel=1e-5)
