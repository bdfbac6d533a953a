"""Group the features of a batch: spherical k-means and spectral clustering (supplement, section 3).

Both take features (N, D) and give ``labels`` (N,) and ``centroids`` (K, D), the plain means of each group's
features. Several batches of one size, such as two views, may come together, (..., N, D); each is grouped for
itself. Labels are constants; the centroids carry the gradient to the features, which the authors' training
back-propagates (detach them to do without). Every group has at least one member.

Initial centroids are the first K samples, so nothing here is random. Labels are found in float64 whatever the
features' type, and ties go to the lowest group: they are then the same on every device.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from cld.runtime.errors import InputError

#: Similarities are compared in whole steps, so that exact ties do not hang on a device's order of additions.
STEPS = 1e9  # of a unit


def spherical_kmeans(features: Tensor, n_groups: int, n_iters: int) -> tuple[Tensor, Tensor]:
    """Spherical k-means by expectation-maximisation (supplement, equation 1).

    Features are compared by cosine, so their lengths play no part in the grouping. The objective, the sum of
    1 - cos(feature, centroid of its group), never rises from one iteration to the next. A group that is left
    without members takes the worst-fit sample that another group can spare, which never raises it.

    Args:
        features: (..., N, D), of any length.
        n_groups: K, at most N.
        n_iters: EM iterations, at least 1.

    Returns:
        labels: (..., N) int64, the group of each sample.
        centroids: (..., K, D), the mean of each group's features, differentiable with respect to them.

    Raises:
        InputError: ``features`` is a vector, or ``n_groups`` or ``n_iters`` is out of range.
    """
    _check(features, n_groups, n_iters)
    labels = _expectation_maximisation(features.detach().double(), n_groups, n_iters)
    return labels, group_means(features, labels, n_groups)


def spectral_clustering(features: Tensor, n_groups: int, n_iters: int) -> tuple[Tensor, Tensor]:
    """Normalised-cut spectral clustering (supplement, equation 2; Shi & Malik 2000; Yu & Shi 2003).

    The graph's weights are |cosine| with a zero diagonal, as in the authors' code: negative cosines would
    give negative degrees. The supplement says the K *largest* eigenvalues of the Laplacian
    L = D^-1/2 (D - W) D^-1/2; the relaxed normalised cut, and the authors' code, take the K *smallest*, which
    are the largest of D^-1/2 W D^-1/2. The rows of their eigenvectors are normalised and grouped by
    :func:`spherical_kmeans`' EM, which only sees inner products of rows: the signs of eigenvectors, and their
    rotation within an eigenspace, do not matter (unless the Kth largest eigenvalue equals the next).

    Args, returns and errors are those of :func:`spherical_kmeans`; centroids are means of ``features``.
    """
    _check(features, n_groups, n_iters)
    unit = F.normalize(features.detach().double(), dim=-1)
    weights = (unit @ unit.mT).abs()
    weights.diagonal(dim1=-2, dim2=-1).zero_()
    scale = weights.sum(dim=-1, keepdim=True).clamp_min(1e-12).rsqrt()  # D^-1/2; zero rows stay so
    vectors = torch.linalg.eigh(scale * weights * scale.mT).eigenvectors  # by rising eigenvalue
    labels = _expectation_maximisation(vectors[..., -n_groups:].contiguous(), n_groups, n_iters)
    return labels, group_means(features, labels, n_groups)


CLUSTERINGS = {"kmeans": spherical_kmeans, "spectral": spectral_clustering}


def group_means(features: Tensor, labels: Tensor, n_groups: int) -> Tensor:
    """Mean of each group's features (..., K, D), zero for a group without members; differentiable."""
    members = _members(labels, n_groups)
    sums = members.mT @ features.double()  # autocast leaves float64 alone
    return (sums / members.sum(dim=-2).clamp_min(1)[..., None]).to(features.dtype)


def _members(labels: Tensor, n_groups: int) -> Tensor:
    """Who is in which group, float64 (..., N, K).

    Sums over groups are products with it, not index_add: that adds in no fixed order on a GPU.
    """
    members = torch.zeros(*labels.shape, n_groups, dtype=torch.float64, device=labels.device)
    return members.scatter_(-1, labels[..., None], 1)


def _expectation_maximisation(points: Tensor, n_groups: int, n_iters: int) -> Tensor:
    """Labels (..., N) of float64 ``points`` (..., N, D) after ``n_iters`` iterations of spherical k-means."""
    points = F.normalize(points, dim=-1)
    scaled = points * STEPS
    centroids = points[..., :n_groups, :]  # unit rows throughout
    labels = _nearest(scaled, centroids)
    for _ in range(n_iters - 1):
        sums = _members(labels, n_groups).mT @ points  # (..., K, D)
        length = sums.norm(dim=-1, keepdim=True)
        # Where the members cancel out every direction is equally good: keep the last one.
        centroids = torch.where(length > 1e-9, sums / length, centroids)
        labels = _nearest(scaled, centroids)
    return labels


def _nearest(scaled: Tensor, centroids: Tensor) -> Tensor:
    """Labels (..., N) of unit points times STEPS (..., N, D), no group empty."""
    # A zero centroid, of a zero sample, attracts none.
    handicap = torch.where(centroids.any(dim=-1, keepdim=True), 0.0, -2 * STEPS)
    similarity = (scaled @ centroids.mT).add_(handicap.mT).round_()  # (..., N, K)
    fit, labels = similarity.max(dim=-1)
    return _fill_empty_groups(labels, fit, similarity)


def _fill_empty_groups(labels: Tensor, fit: Tensor, similarity: Tensor) -> Tensor:
    """Move to each empty group the worst-fit sample that is not the best of its own."""
    n_groups = similarity.shape[-1]
    members = _members(labels, n_groups)
    sizes = members.sum(dim=-2)  # (..., K)
    # a GPU would have to be waited for, a compiled graph to be left
    if labels.device.type == "cpu" and not torch.compiler.is_compiling() and sizes.all():
        return labels
    best = similarity.add(members, alpha=8 * STEPS).argmax(dim=-2)  # (..., K); any in an empty group
    last = fit.scatter_add(-1, best, sizes * (4 * STEPS))  # the best ones stand last
    worst = last.argsort(dim=-1, stable=True)[..., :n_groups]
    sizes, smallest = sizes.sort(dim=-1, stable=True)  # the empty groups come first
    return labels.scatter(-1, worst, torch.where(sizes == 0, smallest, labels.gather(-1, worst)))


def _check(features: Tensor, n_groups: int, n_iters: int) -> None:
    if features.ndim < 2:
        shape = tuple(features.shape)
        raise InputError(f"features of shape {shape}: clustering takes a matrix (batch, dimension)")
    if n_groups < 1:
        raise InputError(f"group number {n_groups} is below 1: raise cld.n_groups")
    if n_groups > features.shape[-2]:
        raise InputError(
            f"group number {n_groups} exceeds the batch of {features.shape[-2]}: "
            "lower cld.n_groups or raise optimiser.batch_size"
        )
    if n_iters < 1:
        raise InputError(f"{n_iters} EM iterations: raise cld.n_iters to 1 or more")
