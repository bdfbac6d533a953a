"""MoCo against a slow, obvious reference."""

import math

import pytest
import torch

from cld.methods import build_method
from cld.runtime.errors import InputError

N, B = 20, 8


@pytest.fixture
def method(tiny_run):
    torch.manual_seed(0)
    method = build_method(tiny_run("moco", {"cld.weight": 0, "views": 3}), N)
    for weights in method.key_encoder.parameters():  # as if both had been trained for a while
        weights.add_(torch.randn_like(weights) * 0.1)
    return method


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return [torch.randn(B, 3, 8, 8) for _ in range(3)], torch.randperm(N)[:B]


def test_loss_is_the_mean_over_the_queries_against_key_and_queue(method, batch):
    (*queries, key), index = batch
    step = method([*queries, key], index)
    keys, losses = method.key_encoder(key), []
    for view in queries:
        for q, k in zip(method.encoder(view).detach(), keys, strict=True):
            negatives = [math.exp(float(q @ old) / method.temperature) for old in method.queue.queue]
            positive = math.exp(float(q @ k) / method.temperature)
            losses.append(-math.log(positive / (positive + sum(negatives))))
    assert step.loss.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    with_key = torch.stack([(method.encoder(view) * keys).sum(dim=1) for view in queries]).mean()
    with_queue = torch.stack([method.encoder(view) @ method.queue.queue.T for view in queries]).mean()
    assert step.logs["positive_similarity"].item() == pytest.approx(with_key.item(), rel=1e-4)
    assert step.logs["negative_similarity"].item() == pytest.approx(with_queue.item(), abs=1e-6)


@pytest.mark.parametrize("name", ["moco", "moco_v2", "infomin"])
def test_a_queue_that_is_longer_than_an_epoch_is_refused(name, tiny_run):
    config = tiny_run(name, {"queue.size": 21})
    with pytest.raises(InputError, match=r"queue\.size 21: there are 20 training images; set queue\.size=20"):
        build_method(config, 20)
    build_method(config, 21)


def test_queries_carry_the_gradient_and_the_key_none(method, batch):
    step = method(*batch)
    step.loss.backward()
    assert len(step.group_inputs) == 2
    assert all(weights.grad.abs().sum() > 0 for weights in method.encoder.parameters())
    assert all(weights.grad is None for weights in method.key_encoder.parameters())
    assert not step.carry["k"].requires_grad


def test_after_the_step_the_key_encoder_follows_and_the_keys_join_the_queue(method, batch):
    queue, old = method.queue.queue.clone(), [p.clone() for p in method.key_encoder.parameters()]
    step = method(*batch)
    step.loss.backward()
    statistics = [b.clone() for b in method.key_encoder.buffers()]
    assert torch.equal(method.queue.queue, queue)
    method.after_step(step, 0.5)
    for k, before, q in zip(method.key_encoder.parameters(), old, method.encoder.parameters(), strict=True):
        torch.testing.assert_close(k.data, 0.9 * before + 0.1 * q.data)
    assert all(map(torch.equal, method.key_encoder.buffers(), statistics))
    assert torch.equal(method.queue.queue[:B], step.carry["k"])
    assert torch.equal(method.queue.queue[B:], queue[B:])


def test_the_key_encoder_starts_as_a_copy(tiny_run):
    method = build_method(tiny_run("moco"), N).method
    own, keys = method.encoder.state_dict(), method.key_encoder.state_dict()
    assert own.keys() == keys.keys()
    assert all(torch.equal(own[name], keys[name]) for name in own)
