"""NPID against a slow, obvious reference."""

import copy
import math

import pytest
import torch

from cld.losses import nce_loss
from cld.methods import build_method
from cld.runtime.errors import InputError

N, B = 20, 8


@pytest.fixture
def method(tiny_run):
    torch.manual_seed(0)
    return build_method(tiny_run("npid", {"cld.weight": 0}), N)


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return [torch.randn(B, 3, 8, 8) for _ in range(2)], torch.randperm(N)[:B]


@pytest.mark.parametrize("n_views", [2, 3])
def test_loss_is_the_mean_over_the_views_of_the_full_softmax(method, batch, n_views):
    views, index = [*batch[0], batch[0][0]][:n_views], batch[1]
    step = method(views, index)
    losses = []
    for view in views:
        for z, i in zip(method.encoder(view).detach(), index, strict=True):
            scores = [math.exp(float(z @ row) / method.temperature) for row in method.bank.memory]
            losses.append(-math.log(scores[i] / sum(scores)))
    assert step.loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert step.logs["instance_loss"].item() == step.loss.item()
    own = torch.stack([(method.encoder(view) * method.bank.memory[index]).sum(dim=1) for view in views])
    assert step.logs["positive_similarity"].item() == pytest.approx(own.mean().item(), rel=1e-4)


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
    method.after_step(step, 0.5)
    expected = before.clone()
    for view in views:
        for z, i in zip(copy.deepcopy(method.encoder)(view).detach(), index, strict=True):
            row = 0.5 * expected[i] + 0.5 * z
            expected[i] = row / row.norm()
    torch.testing.assert_close(method.bank.memory, expected)
    others = torch.ones(N, dtype=torch.bool)
    others[index] = False
    assert torch.equal(method.bank.memory[others], before[others])


@pytest.mark.parametrize("n_negatives", [None, 5])
def test_negative_similarity_is_that_of_each_image_with_the_others(method, sampled, batch, n_negatives):
    views, index = batch
    used = sampled if n_negatives else method
    torch.manual_seed(3)
    found = used(views, index).logs["negative_similarity"].item()
    torch.manual_seed(3)
    drawn = torch.randint(N, (2 * B, 5))
    similarities = []
    for i, f in enumerate(torch.cat([used.encoder(view).detach() for view in views])):
        own = index[i % B].item()
        rows = drawn[i].tolist() if n_negatives else [row for row in range(N) if row != own]
        similarities += [float(f @ used.bank.memory[row]) for row in rows]
    assert found == pytest.approx(sum(similarities) / len(similarities), abs=1e-5)


def slow_nce(scores, n_images, z):
    """Equation 7 of the paper: log-posterior of the own row, and of each drawn row being noise."""
    total, k = 0, len(scores[0]) - 1
    for own, *drawn in scores:
        p = math.exp(own) / z
        total -= math.log(p / (p + k / n_images))
        for score in drawn:
            p = math.exp(score) / z
            total -= math.log(1 - p / (p + k / n_images))
    return total / len(scores)


@pytest.fixture
def sampled(tiny_run):
    torch.manual_seed(0)
    return build_method(tiny_run("npid", {"cld.weight": 0, "bank.negatives": 5}), N)


def test_sampled_loss_is_noise_contrastive_estimation(sampled, batch):
    views, index = batch
    torch.manual_seed(3)
    step = sampled(views, index)
    torch.manual_seed(3)
    drawn = torch.randint(N, (len(views) * len(index), 5))
    z = torch.cat([sampled.encoder(view).detach() for view in views])
    rows = [
        [own, *others] for own, others in zip(index.repeat(len(views)).tolist(), drawn.tolist(), strict=True)
    ]
    scores = [
        [float(f @ sampled.bank.memory[row]) / sampled.temperature for row in own]
        for f, own in zip(z, rows, strict=True)
    ]
    flat = [math.exp(score) for row in scores for score in row]
    constant = N * sum(flat) / len(flat)  # measured on this first batch
    assert step.loss.item() == pytest.approx(slow_nce(scores, N, constant), rel=1e-4)
    sampled.after_step(step, 0.0)
    assert sampled.log_z.item() == pytest.approx(math.log(constant), rel=1e-5)
    kept = sampled.log_z.clone()
    sampled.after_step(sampled(views, index), 0.1)
    assert torch.equal(sampled.log_z, kept)


def test_sampled_loss_has_the_gradient_of_its_definition(sampled, batch):
    views, index = batch
    sampled.after_step(sampled(views, index), 0.0)
    z = torch.nn.functional.normalize(torch.randn(6, sampled.bank.memory.shape[1]), dim=1).requires_grad_()
    torch.manual_seed(4)
    logits = sampled.bank.sampled_logits(z, torch.arange(6), 5, sampled.temperature)
    (ours,) = torch.autograd.grad(nce_loss(logits, N, sampled.log_z), z, retain_graph=True)
    p, noise = (logits - sampled.log_z).exp(), 5 / N
    slow = -((p[:, 0] / (p[:, 0] + noise)).log().sum() + (noise / (p[:, 1:] + noise)).log().sum()) / 6
    torch.testing.assert_close(ours, torch.autograd.grad(slow, z)[0], rtol=1e-4, atol=1e-6)


def test_more_sampled_images_than_there_are_is_an_error(tiny_run):
    with pytest.raises(InputError, match=r"bank\.negatives 20: there are 20 training images; set .*=null"):
        build_method(tiny_run("npid", {"bank.negatives": N}), N)
