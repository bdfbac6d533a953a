"""CLD over every base method against a slow, obvious reference."""

import itertools

import pytest
import torch
from torch.nn import functional as F
from torch.optim import SGD

from cld.clustering import CLUSTERINGS
from cld.config import load_method
from cld.methods import METHODS, AddCLD, build_method

N, B = 20, 8
both = pytest.mark.parametrize("base", sorted(METHODS))


def build(tiny_run, base, **cld):
    torch.manual_seed(0)
    return build_method(tiny_run(base, {f"cld.{key}": value for key, value in cld.items()}), N)


def make_batch(base):
    torch.manual_seed(1)
    n_views = 2 + load_method(base)[0]["key_views"]
    return [torch.randn(B, 3, 8, 8) for _ in range(n_views)], torch.randperm(N)[:B]


def seeded(method, batch):
    """A step whose own random choices (InfoMin's patches) are the same every time."""
    torch.manual_seed(2)
    return method(*batch)


def group_features(method, step):
    """The two views' group features, by the definition."""
    if method.settings["subspace"] == "shared":
        return [view.embedding for view in step.group_inputs]
    return [F.normalize(method.group_head(view.features), dim=1) for view in step.group_inputs]


def means(features, labels, n_groups):
    return [
        torch.stack([f for f, l in zip(features, labels, strict=True) if l == k]).mean(0)
        for k in range(n_groups)
    ]


def slow_loss(method, step):
    """Cross-level loss from the supplement's words; differentiable, labels constant."""
    settings, features = method.settings, group_features(method, step)
    cluster = CLUSTERINGS[settings["clustering"]]
    labels = [cluster(f.detach(), settings["n_groups"], settings["n_iters"])[0] for f in features]
    total = 0
    for view in (0, 1):
        other = 1 - view if settings["cross_augmentation"] else view
        centroids = means(features[other], labels[other], settings["n_groups"])
        if not settings["gradient_through_centroids"]:
            centroids = [centroid.detach() for centroid in centroids]
        for f, label in zip(features[view], labels[other], strict=True):
            scores = torch.stack([(f @ centroid / settings["temperature"]).exp() for centroid in centroids])
            total = total - (scores[label] / scores.sum()).log()
    return total / (2 * B)


SETTINGS = {
    "clustering": sorted(CLUSTERINGS),
    "subspace": ["separate", "shared"],
    "cross_augmentation": [True, False],
    "gradient_through_centroids": [True, False],
}
#: Every combination for one method; the others with the defaults, and with all of them changed.
CASES = [
    *(("npid", dict(zip(SETTINGS, values, strict=True))) for values in itertools.product(*SETTINGS.values())),
    *((base, {}) for base in sorted(METHODS)),
    *((base, {name: values[1] for name, values in SETTINGS.items()}) for base in sorted(METHODS)),
]


@pytest.mark.parametrize(("base", "settings"), CASES)
def test_adds_weight_times_the_cross_level_loss(tiny_run, base, settings):
    method = build(tiny_run, base, **settings)
    batch = make_batch(base)
    step, alone = seeded(method, batch), seeded(method.method, batch)
    expected = slow_loss(method, alone)
    assert step.logs["cld_loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert step.loss.item() == pytest.approx((alone.loss + 0.5 * expected).item(), rel=1e-5)
    trained = [weights for weights in method.parameters() if weights.requires_grad]
    for ours, slow in zip(
        torch.autograd.grad(step.loss, trained),
        torch.autograd.grad(alone.loss + 0.5 * expected, trained),
        strict=True,
    ):
        torch.testing.assert_close(ours, slow, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["mlp", "norm_mlp"])
@pytest.mark.parametrize("base", ["moco", "infomin"])
def test_heads_may_share_their_hidden_layer(tiny_run, base, kind):
    batch, heads = make_batch(base), {"head.kind": kind, "head.shared_hidden": True}
    torch.manual_seed(0)
    method = build_method(tiny_run(base, heads), N)
    own = method.encoder.head
    assert method.group_head[0] is own[0] and method.group_head[2] is not own[2]
    step, alone = seeded(method, batch), seeded(method.method, batch)
    hidden = [F.relu(own[0](view.features)) for view in alone.group_inputs]
    torch.testing.assert_close(
        method.group_features(alone.group_inputs),
        torch.stack([F.normalize(method.group_head[2](h), dim=1) for h in hidden]),
    )
    (step.loss - alone.loss).backward()
    assert own[0].weight.grad.abs().max() > 1e-6 > own[2].weight.grad.abs().max()
    restored = build_method(tiny_run(base, heads), N)
    restored.load_state_dict(method.state_dict())
    assert torch.equal(seeded(restored, batch).loss, step.loss)


@both
def test_its_own_gradient_reaches_backbone_and_group_head_alone(tiny_run, base):
    method = build(tiny_run, base)
    batch = make_batch(base)
    (seeded(method, batch).loss - seeded(method.method, batch).loss).backward()
    for module in (method.encoder.backbone, method.group_head):
        # a bias before batch normalisation has no effect, and no gradient
        assert all(weights.grad.abs().max() > 1e-6 for weights in module.parameters() if weights.ndim > 1)
    assert all(weights.grad.abs().max() < 1e-6 for weights in method.encoder.head.parameters())


@both
def test_weight_zero_is_the_base_method_to_the_bit(tiny_run, base):
    config = tiny_run(base)
    torch.manual_seed(0)
    alone = METHODS[base].from_config(config, N)
    torch.manual_seed(0)
    method = AddCLD.from_config(
        METHODS[base].from_config(config, N), {**config, "cld": {**config["cld"], "weight": 0}}
    )
    for trained in (alone, method):
        optimiser = SGD([p for p in trained.parameters() if p.requires_grad], 0.1, 0.9, weight_decay=1e-4)
        for _ in range(3):
            optimiser.zero_grad()
            step = trained(*make_batch(base))
            step.loss.backward()
            optimiser.step()
            trained.after_step(step, 0.5)
    state = method.method.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in alone.state_dict().items())


@both
def test_the_base_is_the_same_with_and_without_cld_and_a_shared_subspace_adds_no_parameters(tiny_run, base):
    alone, method = build(tiny_run, base, weight=0), build(tiny_run, base)
    assert type(alone) is METHODS[base]
    weights = method.method.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in alone.state_dict().items())
    shared, own, with_head = (
        sum(values.numel() for values in built.parameters())
        for built in (build(tiny_run, base, subspace="shared"), alone, method)
    )
    assert shared == own < with_head


@both
def test_logs_keep_the_base_terms_and_describe_the_groups(tiny_run, base):
    method = build(tiny_run, base)
    batch = make_batch(base)
    step = seeded(method, batch)
    features = group_features(method, step)
    sizes = [CLUSTERINGS["kmeans"](f, 3, 5)[0].bincount(minlength=3) for f in features]
    assert step.logs["largest_group"].item() == sum(size.max().item() for size in sizes) / 2
    assert step.logs["instance_loss"].item() == pytest.approx(seeded(method.method, batch).loss.item())
    assert not any(value.requires_grad for value in step.logs.values())


@both
def test_after_step_is_the_base_methods(tiny_run, base):
    method, alone = build(tiny_run, base), build(tiny_run, base, weight=0)
    for trained in (method, alone):
        trained.after_step(trained(*make_batch(base)), 0.5)
    state = method.method.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in alone.state_dict().items())
