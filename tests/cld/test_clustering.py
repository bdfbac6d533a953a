import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score
from torch.nn.functional import normalize

from cld.clustering import CLUSTERINGS, group_means, spectral_clustering, spherical_kmeans
from cld.losses import cross_level_loss
from cld.runtime.errors import InputError

BOTH = pytest.mark.parametrize("cluster", CLUSTERINGS.values(), ids=CLUSTERINGS)
steady = settings(max_examples=60)


def gaussian(n, dim, seed=0):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def blobs(n_blobs, each, dim=16, spread=0.1, seed=0):
    """Unit features around ``n_blobs`` directions, and whose they are; the first n_blobs are one of each."""
    truth = torch.arange(n_blobs).repeat(each)
    directions = torch.linalg.qr(gaussian(dim, n_blobs, seed)).Q.T
    return normalize(directions[truth] + spread * gaussian(len(truth), dim, seed + 1), dim=1), truth


@st.composite
def feature_sets(draw):
    """Features with everything that troubles k-means: repeats, opposites, zeros, any length."""
    n, dim = draw(st.integers(1, 24)), draw(st.integers(1, 6))
    features = gaussian(n, dim, draw(st.integers(0, 999))).double()
    kind = draw(st.sampled_from(["plain", "repeats", "opposites", "zeros", "lengths", "same"]))
    half = n // 2
    if kind == "repeats":
        features = features[torch.arange(n) % (half + 1)]
    elif kind == "opposites":
        features[half : 2 * half] = -features[:half]
    elif kind == "zeros":
        features[:: draw(st.integers(1, 3))] = 0
    elif kind == "lengths":
        features *= 10 ** gaussian(n, 1).double()
    elif kind == "same":
        features[:] = features[0].clone()
    return features, draw(st.integers(1, n))


def slow_kmeans(features, n_groups, n_iters):
    """Spherical k-means as equation 1 defines it, one sample and one group at a time (no empty groups)."""
    points = [f / np.linalg.norm(f) for f in features.double().numpy()]
    centroids = points[:n_groups]
    for _ in range(n_iters):
        labels = [int(np.argmax([point @ centroid for centroid in centroids])) for point in points]
        for group in range(n_groups):
            total = sum(point for point, label in zip(points, labels, strict=True) if label == group)
            centroids[group] = total / np.linalg.norm(total)
    return labels


def slow_spectral(features, n_groups, n_iters, eigenvalues="smallest"):
    """Supplement, section 3, steps 1 to 3, with the Laplacian written out."""
    unit = normalize(features.double(), dim=1).numpy()
    weights = np.abs(unit @ unit.T)
    np.fill_diagonal(weights, 0)
    degree = np.diag(weights.sum(axis=1))
    root = np.linalg.inv(np.sqrt(degree))
    vectors = np.linalg.eigh(root @ (degree - weights) @ root)[1]
    chosen = vectors[:, :n_groups] if eigenvalues == "smallest" else vectors[:, -n_groups:]
    return slow_kmeans(torch.from_numpy(chosen), n_groups, n_iters)


def objective(features, labels, n_groups):
    """Equation 1 at its best centroids for these labels: the directions of the sums of unit members."""
    points = normalize(features.double(), dim=1)
    return len(points) - group_sums(points, labels, n_groups).norm(dim=1).sum().item()


def group_sums(points, labels, n_groups):
    return torch.stack([points[labels == group].sum(dim=0) for group in range(n_groups)])


@pytest.mark.parametrize(
    ("cluster", "slow"), [(spherical_kmeans, slow_kmeans), (spectral_clustering, slow_spectral)]
)
@pytest.mark.parametrize(("n", "dim", "k", "iters"), [(40, 5, 4, 1), (64, 16, 10, 5), (30, 3, 30, 5)])
def test_labels_are_the_definitions(cluster, slow, n, dim, k, iters):
    features = gaussian(n, dim)
    assert cluster(features, k, iters)[0].tolist() == slow(features, k, iters)


@steady
@given(feature_sets())
def test_kmeans_objective_never_rises(case):
    features, k = case
    costs = [objective(features, spherical_kmeans(features, k, iters)[0], k) for iters in range(1, 7)]
    assert all(after <= before + 1e-6 for before, after in itertools.pairwise(costs))


@BOTH
@steady
@given(case=feature_sets())
def test_every_group_has_members_and_their_mean_as_centroid(cluster, case):
    features, k = case
    labels, centroids = cluster(features, k, 3)
    assert labels.dtype == torch.int64
    assert sorted(set(labels.tolist())) == list(range(k))
    means = torch.stack([features[labels == group].mean(dim=0) for group in range(k)])
    torch.testing.assert_close(centroids, means)


@steady
@given(case=feature_sets(), seed=st.integers(0, 999))
def test_several_batches_are_grouped_each_for_itself(case, seed):
    # One of them may have to fill empty groups where the other has none.
    features, k = case
    require_each_for_itself(spherical_kmeans, [features, gaussian(*features.shape, seed).double()], k)


def test_several_graphs_are_cut_each_for_itself():
    require_each_for_itself(spectral_clustering, [blobs(4, 8)[0], gaussian(32, 16)], 4)


def require_each_for_itself(cluster, batches, k):
    for alone, *together in zip(batches, *cluster(torch.stack(batches), k, 3), strict=True):
        labels, centroids = cluster(alone, k, 3)
        assert torch.equal(together[0], labels)
        torch.testing.assert_close(together[1], centroids)


@BOTH
@steady
@given(case=feature_sets(), data=st.data())
def test_another_order_of_additions_gives_the_same_labels(cluster, case, data):
    # What another device changes, with the exact ties of repeated features in the worst place.
    features, k = case
    features = features[torch.arange(len(features)) % data.draw(st.integers(1, len(features)))]
    order = torch.tensor(data.draw(st.permutations(range(features.shape[1]))))
    kmeans = cluster is spherical_kmeans
    ours, other = (cluster(f, k, 4)[0] for f in (features, features[:, order]))
    assert torch.equal(ours, other) or (not kmeans and eigenvalue_gap(features, k) < 1e-6)


def test_near_ties_in_float32_go_the_same_way_in_any_order_of_additions():
    ends = normalize(gaussian(2, 64), dim=1)
    between = ends.sum(dim=0) * (1 + gaussian(300, 1, seed=1).abs())  # as near to one end as to the other
    features = torch.cat([ends, between])
    order = torch.randperm(64, generator=torch.Generator().manual_seed(2))
    labels, _ = spherical_kmeans(features, 2, 1)
    assert 0 < labels[2:].sum() < 300
    assert torch.equal(spherical_kmeans(features[:, order], 2, 1)[0], labels)


def eigenvalue_gap(features, k):
    """How far the kth largest eigenvalue of D^-1/2 W D^-1/2 is from the next: at 0 the cut is arbitrary."""
    unit = normalize(features, dim=1)
    weights = (unit @ unit.T).abs().fill_diagonal_(0)
    scale = weights.sum(dim=1).clamp(min=1e-12).rsqrt()
    values = torch.linalg.eigvalsh(scale[:, None] * weights * scale)
    return (values[-k] - values[-k - 1]).item() if k < len(values) else 1.0


@BOTH
def test_separate_groups_are_found(cluster):
    features, truth = blobs(6, each=20)
    labels, _ = cluster(features, 6, 5)
    assert adjusted_rand_score(truth, labels) == 1


def test_spectral_takes_the_smallest_eigenvalues_of_the_laplacian():
    # The supplement says the largest; here only the smallest find the groups.
    features, truth = blobs(4, each=15)
    largest = slow_spectral(features, 4, 5, eigenvalues="largest")
    assert adjusted_rand_score(truth, largest) < 0.5
    assert adjusted_rand_score(truth, spectral_clustering(features, 4, 5)[0]) == 1


@BOTH
def test_lengths_and_rotations_of_features_do_not_matter(cluster):
    features = gaussian(60, 8)
    labels, _ = cluster(features, 7, 5)
    rotation = torch.linalg.qr(gaussian(8, 8, seed=1)).Q
    lengths = 0.1 + gaussian(60, 1, seed=2).abs()
    assert torch.equal(cluster(features @ rotation, 7, 5)[0], labels)
    assert torch.equal(cluster(features * lengths, 7, 5)[0], labels)


@BOTH
def test_as_many_groups_as_samples_make_each_its_own(cluster):
    features = gaussian(32, 8)
    labels, centroids = cluster(features, 32, 5)
    assert torch.equal(labels, torch.arange(32))
    torch.testing.assert_close(centroids, features)


def test_empty_group_takes_the_worst_fit_sample():
    # The first two samples are the same, so the second's group is empty; the last fits no group.
    angles = torch.tensor([0.0, 0.0, 0.1, 0.2, 1.4])
    features = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels, _ = spherical_kmeans(features, 2, 1)
    assert labels.tolist() == [0, 0, 0, 0, 1]


def test_a_zero_sample_attracts_no_others():
    # Its cosine of 0 would beat the negative ones. Nobody joins it, so its group takes the worst fit.
    features = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.1], [-1.0, 0.2], [1.0, 0.1]])
    labels, _ = spherical_kmeans(features, 2, 1)
    assert labels.tolist() == [0, 0, 1, 0, 0]


def test_a_group_whose_members_cancel_out_keeps_its_place():
    # After one iteration group 0 is {1, 1, -1, -1}: no direction fits it better than another.
    features = torch.tensor([[1.0], [1.0], [-1.0], [-1.0], [-1.0]])
    assert spherical_kmeans(features, 2, 1)[0].tolist() == [0, 0, 1, 0, 0]
    assert spherical_kmeans(features, 2, 2)[0].tolist() == [0, 0, 1, 1, 1]


@BOTH
@pytest.mark.parametrize(
    "features", [torch.zeros(8, 4), torch.ones(8, 4), torch.eye(8)], ids=["0", "1", "eye"]
)
def test_degenerate_batches_train_on(cluster, features):
    views = features.clone().requires_grad_(), features.clone().requires_grad_()
    (labels1, means1), (labels2, means2) = (cluster(view, 3, 5) for view in views)
    loss = cross_level_loss(*views, labels1, labels2, means1, means2, 0.2)
    loss.backward()
    assert loss.isfinite()
    assert all(view.grad.isfinite().all() for view in views)


@BOTH
def test_gradient_reaches_each_member_through_its_mean(cluster):
    features = gaussian(20, 4).requires_grad_()
    labels, centroids = cluster(features, 3, 5)
    assert not labels.requires_grad
    centroids[1].sum().backward()
    members = labels == 1
    expected = members.float()[:, None].expand(-1, 4) / members.sum()
    torch.testing.assert_close(features.grad, expected)


def test_group_means_against_finite_differences():
    features = gaussian(8, 3).double().requires_grad_()
    labels = torch.tensor([0, 2, 2, 0, 3, 3, 3, 0])  # group 1 is empty
    assert torch.autograd.gradcheck(lambda f: group_means(f, labels, 4), features)
    assert torch.equal(group_means(features, labels, 4)[1], torch.zeros(3, dtype=torch.float64))


@BOTH
def test_autocast_changes_nothing(cluster):
    features = gaussian(64, 16)
    labels, centroids = cluster(features, 9, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half_labels, half_centroids = cluster(features, 9, 5)
    assert torch.equal(labels, half_labels)
    assert torch.equal(centroids, half_centroids)


@BOTH
@pytest.mark.parametrize(
    ("shape", "k", "iters", "message"),
    [
        (
            (256, 8),
            300,
            5,
            r"group number 300 exceeds the batch of 256: lower cld\.n_groups or raise optimiser",
        ),
        ((8, 4), 0, 5, r"group number 0 is below 1: raise cld\.n_groups"),
        ((8, 4), 2, 0, r"0 EM iterations: raise cld\.n_iters"),
        ((8,), 2, 5, r"features of shape \(8,\): clustering takes a matrix"),
    ],
)
def test_bad_arguments_say_what_to_change(cluster, shape, k, iters, message):
    with pytest.raises(InputError, match=message):
        cluster(torch.ones(shape), k, iters)
