import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from cld import losses
from cld.clustering import group_means
from cld.losses import cross_level_loss, instance_group_loss

TEMPERATURES = {"T0p07": 0.07, "T0p2": 0.2}


def unit(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=1)


def slow_instance_group_loss(features, labels, centroids, temperature):
    """The definition, one sample at a time; groups without members do not exist."""
    present = sorted(set(labels.tolist()))
    total = 0.0
    for feature, label in zip(features, labels.tolist(), strict=True):
        terms = {group: math.exp(feature @ centroids[group] / temperature) for group in present}
        total -= math.log(terms[label] / sum(terms.values()))
    return total / len(features)


@pytest.mark.parametrize("name", TEMPERATURES)
def test_value_and_gradients_are_the_authors(golden, name):
    f1, f2 = (golden[f"cld_f{view}"].clone().requires_grad_() for view in (1, 2))
    loss = cross_level_loss(
        f1,
        f2,
        golden["cld_labels1"],
        golden["cld_labels2"],
        golden["cld_centroids1"],
        golden["cld_centroids2"],
        TEMPERATURES[name],
    )
    loss.backward()
    assert loss.item() == pytest.approx(golden[f"cld_loss_{name}"], rel=1e-5)
    torch.testing.assert_close(f1.grad, golden[f"cld_grad1_{name}"], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(f2.grad, golden[f"cld_grad2_{name}"], rtol=1e-4, atol=1e-7)


def test_gradient_flows_through_centroids_as_in_the_authors_training(golden):
    f1, f2 = (golden[f"cld_f{view}"].clone().requires_grad_() for view in (1, 2))
    labels1, labels2 = golden["cld_labels1"], golden["cld_labels2"]
    means1, means2 = group_means(f1, labels1, 10), group_means(f2, labels2, 10)
    torch.testing.assert_close(means1, golden["cld_centroids1"], rtol=1e-5, atol=1e-7)

    cross_level_loss(f1, f2, labels1, labels2, means1, means2, 0.2).backward()
    expected1 = golden["cld_grad1_through_centroids_T0p2"]
    expected2 = golden["cld_grad2_through_centroids_T0p2"]
    torch.testing.assert_close(f1.grad, expected1, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(f2.grad, expected2, rtol=1e-4, atol=1e-7)


def test_is_the_definition_computed_one_sample_at_a_time():
    f1, f2, c1, c2 = unit(12, 5), unit(12, 5, seed=1), unit(4, 5, seed=2), unit(3, 5, seed=3)
    labels1 = torch.tensor([0, 1, 2, 3] * 3)
    labels2 = torch.tensor([0, 2, 2] * 4)  # group 1 has no members
    expected = slow_instance_group_loss(f1, labels2, c2, 0.2) + slow_instance_group_loss(f2, labels1, c1, 0.2)
    assert cross_level_loss(f1, f2, labels1, labels2, c1, c2, 0.2).item() == pytest.approx(expected / 2)


def test_swapped_groups_compare_each_view_with_its_own():
    f1, f2, c1, c2 = unit(12, 5), unit(12, 5, seed=1), unit(4, 5, seed=2), unit(4, 5, seed=3)
    labels1, labels2 = torch.tensor([0, 1, 2, 3] * 3), torch.tensor([3, 3, 1, 0, 2, 1] * 2)
    own = (instance_group_loss(f1, labels1, c1, 0.2) + instance_group_loss(f2, labels2, c2, 0.2)) / 2
    torch.testing.assert_close(cross_level_loss(f1, f2, labels2, labels1, c2, c1, 0.2), own)


@pytest.mark.parametrize("fill", [0.0, 1e3])
def test_a_group_without_members_plays_no_part(fill):
    features, centroids = unit(8, 5).requires_grad_(), unit(3, 5, seed=1)
    labels = torch.tensor([0, 2] * 4)
    with_empty = centroids.clone()
    with_empty[1] = fill
    loss = instance_group_loss(features, labels, with_empty, 0.1)
    loss.backward()
    assert loss.item() == pytest.approx(slow_instance_group_loss(features.detach(), labels, centroids, 0.1))
    assert features.grad.isfinite().all()


def test_gradients_against_finite_differences():
    labels1, labels2 = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1, 1, 0, 0, 2, 2])

    def through_centroids(f1, f2):
        means1, means2 = group_means(f1, labels1, 3), group_means(f2, labels2, 4)  # group 3 is empty
        return cross_level_loss(f1, f2, labels1, labels2, means1, means2, 0.2)

    views = unit(6, 4).requires_grad_(), unit(6, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(through_centroids, views)


def test_one_group_for_all_costs_nothing():
    features = unit(6, 4)
    labels = torch.zeros(6, dtype=torch.int64)
    assert instance_group_loss(features, labels, features[:1], 0.1).item() == 0


@settings(max_examples=40)
@given(
    n=st.integers(1, 9),
    n_rows=st.integers(1, 60),
    tile=st.integers(1, 200),
    temperature=st.sampled_from([0.001, 0.07, 1.0]),
    seed=st.integers(0, 99),
)
def test_log_partition_is_logsumexp_and_its_gradient(n, n_rows, tile, temperature, seed):
    """Whatever the tiles; at T = 0.001 exp(f · r / T) is beyond float64."""
    generator = torch.Generator().manual_seed(seed)
    features, rows = (torch.randn(size, 5, generator=generator, dtype=torch.float64) for size in (n, n_rows))
    weights = torch.randn(n, generator=generator, dtype=torch.float64)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "TILE", tile)
        for compute in (losses.log_partition, lambda f, r, t: (f @ r.T / t).logsumexp(dim=1)):
            leaf = features.clone().requires_grad_()
            value = compute(leaf, rows, temperature)
            (value @ weights).backward()
            found.append((value.detach(), leaf.grad))
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)
