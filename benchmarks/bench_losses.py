"""Clustering, losses and kNN, as multiples of the time of their matrix products, on one core.

``python benchmarks/bench_losses.py`` takes about 20 s.
"""

import torch
from timing import Row, medians, on_one_core, record
from torch.nn.functional import normalize

from cld.clustering import spherical_kmeans
from cld.knn_vote import knn_classify
from cld.memory import MemoryBank, MomentumQueue


def main() -> None:
    """Record the rows."""
    rows = (
        *(kmeans(256, 128, n_groups) for n_groups in (10, 64, 128, 256)),
        bank_loss(512, 50_000, 128),
        queue_loss(512, 65_536, 128),
        knn(20_000, 2_000, 128, k=200),
    )
    record("Losses, clustering, kNN", "Time over the yardstick's: lower is better.", rows)


def kmeans(n: int, dim: int, n_groups: int) -> Row:
    """Five iterations, against two products each, in float64 as the grouping is."""
    features = normalize(torch.randn(n, dim), dim=1)
    points = features.double()

    def products() -> None:
        for _ in range(5):
            similarity = points @ points[:n_groups].T
            similarity.T @ points

    whole, bare = medians(lambda: spherical_kmeans(features, n_groups, 5), products)
    target = "<= 1.5" if n_groups >= 64 else ""
    return Row(f"k-means, {n} × {dim}, {n_groups} groups", "its matrix products", whole / bare, target)


def bank_loss(n: int, n_rows: int, dim: int) -> Row:
    """NPID's loss, forward and backward."""
    bank, index = MemoryBank(n_rows, dim, momentum=0.5), torch.randint(n_rows, (n,))
    return _softmax("bank", bank.memory, n, lambda features: bank.loss(features, index, 0.1)[0])


def queue_loss(n: int, n_rows: int, dim: int) -> Row:
    """MoCo's loss, forward and backward."""
    queue, keys = MomentumQueue(n_rows, dim), normalize(torch.randn(n, dim), dim=1)
    return _softmax("queue", queue.queue, n, lambda features: queue.loss(features, keys, 0.1)[0])


def _softmax(of: str, rows: torch.Tensor, n: int, loss: object) -> Row:
    features = normalize(torch.randn(n, rows.shape[1]), dim=1).requires_grad_()

    def pass_() -> None:
        features.grad = None
        loss(features).backward()

    similarity, gradient = torch.empty(n, len(rows)), torch.empty_like(features)

    def products() -> None:
        torch.mm(features.detach(), rows.T, out=similarity)
        torch.mm(similarity, rows, out=gradient)

    whole, bare = medians(pass_, products)
    what = f"softmax over a {of}, {n} × {len(rows)} × {rows.shape[1]}"
    return Row(what, "its matrix products", whole / bare, "<= 1.3")


def knn(n_train: int, n_test: int, dim: int, k: int) -> Row:
    """The vote of the nearest neighbours, against all similarities, written to one buffer."""
    train, test = (normalize(torch.randn(n, dim), dim=1) for n in (n_train, n_test))
    labels, buffer = torch.randint(10, (n_train,)), torch.empty(n_test, n_train)
    vote, bare = medians(
        lambda: knn_classify(train, labels, test, 10, k, 0.1), lambda: torch.mm(test, train.T, out=buffer)
    )
    return Row(f"kNN, {n_train} × {n_test} × {dim}, k {k}", "its matrix product", vote / bare, "<= 1.5")


if __name__ == "__main__":
    on_one_core()
    main()
