"""InfoMin against a slow, obvious reference."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cld.augment.jigsaw import jigsaw_patches, patch_size
from cld.methods.infomin import InfoMin
from cld.models.heads import NormLinear

N, B, SIZE = 20, 8, 12


def configuration(tiny_run, **settings):
    views = {"cld.weight": 0, "views": 3, "head.kind": "mlp"}
    return tiny_run("moco", views | settings) | {"method": "infomin", "infomin": {"jigsaw_weight": 0.3}}


@pytest.fixture
def method(tiny_run):
    torch.manual_seed(0)
    method = InfoMin.from_config(configuration(tiny_run), N)
    for weights in method.moco.key_encoder.parameters():  # as if both had been trained for a while
        weights.add_(torch.randn_like(weights) * 0.1)
    return method


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return [torch.randn(B, 3, SIZE, SIZE) for _ in range(3)], torch.randperm(N)[:B]


def info_nce(method, queries, keys):
    losses = []
    for q, k in zip(queries, keys, strict=True):
        negatives = sum(torch.exp(q @ old / method.moco.temperature) for old in method.moco.queue.queue)
        positive = torch.exp(q @ k / method.moco.temperature)
        losses.append(-torch.log(positive / (positive + negatives)))
    return sum(losses) / len(losses)


def reference(method, views):
    """Losses of the queries and of the patches, image by image; the patches are drawn as the method's."""
    *queries, key = views
    keys = method.moco.key_encoder(key).detach()
    views_loss = sum(info_nce(method, method.encoder(view), keys) for view in queries) / len(queries)
    patches = jigsaw_patches(queries[0], patch_size(SIZE), torch.default_generator)
    features = method.encoder.backbone(patches)  # one batch, as its normalisation needs
    first, _, second = method.jigsaw_head.patch_head
    merge = method.jigsaw_head.merge
    embeddings = []
    for i in range(B):
        nine = [second(F.relu(first(features[9 * i + j]))) for j in range(9)]
        merged = merge.weight @ torch.cat(nine) + merge.bias
        embeddings.append(merged / merged.norm())
    return views_loss, info_nce(method, embeddings, keys)


@pytest.mark.parametrize("n_queries", [1, 2])
def test_loss_and_gradient_are_the_weighted_means_of_both_branches(method, batch, n_queries):
    views, index = batch[0][2 - n_queries :], batch[1]
    torch.manual_seed(2)
    step = method(views, index)
    torch.manual_seed(2)
    views_loss, jigsaw_loss = reference(method, views)
    expected = 0.7 * views_loss + 0.3 * jigsaw_loss
    assert step.logs["jigsaw_loss"].item() == pytest.approx(jigsaw_loss.item(), rel=1e-5)
    assert step.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert step.logs["instance_loss"].item() == step.loss.item()
    assert not any(value.requires_grad for value in step.logs.values())
    trained = [weights for weights in method.parameters() if weights.requires_grad]
    gradients = (torch.autograd.grad(loss, trained) for loss in (step.loss, expected))
    for ours, theirs in zip(*gradients, strict=True):
        assert theirs.abs().sum() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_queries_are_for_cld_and_the_key_carries_no_gradient(method, batch):
    step = method(*batch)
    step.loss.backward()
    assert len(step.group_inputs) == 2
    assert all(view.embedding.requires_grad and len(view.embedding) == B for view in step.group_inputs)
    assert all(weights.grad is None for weights in method.moco.key_encoder.parameters())
    assert not step.carry["k"].requires_grad


def test_after_the_step_the_key_encoder_follows_and_only_the_keys_join_the_queue(method, batch):
    queue, old = method.moco.queue.queue.clone(), [p.clone() for p in method.moco.key_encoder.parameters()]
    step = method(*batch)
    step.loss.backward()
    method.after_step(step, 0.5)
    for k, before, q in zip(
        method.moco.key_encoder.parameters(), old, method.encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(k.data, 0.9 * before + 0.1 * q.data)
    assert torch.equal(method.moco.queue.queue[:B], step.carry["k"])
    assert torch.equal(method.moco.queue.queue[B:], queue[B:])


def test_the_backbone_stands_once_in_the_state(method):
    names = method.state_dict()
    assert sum(name.endswith("backbone.conv1.weight") for name in names) == 2  # the query's and the key's
    assert sum(name.startswith("jigsaw_head.") for name in names) == 6


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        ("linear", [nn.Linear, nn.Linear]),
        ("norm_linear", [NormLinear, NormLinear]),
        ("norm_mlp", [nn.Linear, NormLinear, NormLinear]),
    ],
)
def test_the_jigsaw_head_is_of_the_kind_of_the_queries(tiny_run, kind, layers):
    method = InfoMin.from_config(configuration(tiny_run, **{"head.kind": kind}), N)
    found = [
        type(layer) for layer in method.jigsaw_head.modules() if isinstance(layer, nn.Linear | NormLinear)
    ]
    assert found == layers
    assert method.encode_patches(torch.randn(2 * 9, 3, 4, 4)).norm(dim=1).tolist() == pytest.approx([1, 1])
