"""Multinomial logistic regression of features by full-batch L-BFGS: deterministic, and needs no rate."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from cld.runtime.progress import progress

#: Rows whose logits are in memory at a time: 1,000 classes take 0.25 GB.
CHUNK = 2**16
HISTORY = 10
#: Where it ends: no entry of the gradient is larger, or the loss changes by less.
GRADIENT_TOLERANCE, CHANGE_TOLERANCE = 1e-5, 1e-9


@dataclass(frozen=True)
class Regression:
    """A fitted classifier.

    Attributes:
        weight: (D, C).
        bias: (C,).
        loss: mean cross-entropy and penalty at the end.
        evaluations: how often the loss and its gradient were computed.
        converged: whether a tolerance ended it and not the number of evaluations.
    """

    weight: Tensor
    bias: Tensor
    loss: float
    evaluations: int
    converged: bool

    def logits(self, features: Tensor) -> Tensor:
        """(N, C) of ``features`` (N, D)."""
        return features @ self.weight.to(features.dtype) + self.bias.to(features.dtype)


def standardised(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both (M, D) and (N, D) with the training features' mean 0 and deviation 1; constant ones become 0."""
    std, mean = torch.std_mean(train, dim=0, correction=0)
    # what differs by rounding alone is constant
    constant = std <= 1e-6 * mean.abs()
    scale = torch.where(constant, 0, 1 / std.where(~constant, 1))
    return (train - mean) * scale, (test - mean) * scale


def fit_logistic_regression(
    features: Tensor, labels: Tensor, n_classes: int, l2: float, max_evaluations: int
) -> Regression:
    """Minimise mean cross-entropy + l2 / 2 · ‖weight‖²; the bias is free.

    It is scikit-learn's ``LogisticRegression`` with C = 1 / (l2 · M). Weights are kept in float64, products
    are computed in the features' type.

    Args:
        features: (M, D).
        labels: (M,) int64, in 0..n_classes - 1.
        l2: above 0, or classes that can be told apart without error would let the weights grow for ever.
    """
    n, dim = features.shape
    weight = torch.zeros(dim, n_classes, dtype=torch.float64, device=features.device, requires_grad=True)
    bias = torch.zeros(n_classes, dtype=torch.float64, device=features.device, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=max_evaluations,
        max_eval=max_evaluations,
        tolerance_grad=GRADIENT_TOLERANCE,
        tolerance_change=CHANGE_TOLERANCE,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )
    chunks = list(zip(features.split(CHUNK), labels.split(CHUNK), strict=True))

    with progress("logistic regression", max_evaluations, "evaluations at most") as bar:

        def objective() -> Tensor:
            optimiser.zero_grad()
            total = l2 / 2 * weight.square().sum()
            total.backward()
            total = total.detach()
            for rows, targets in chunks:
                logits = rows @ weight.to(rows.dtype) + bias.to(rows.dtype)
                # summed up in float64: the line search compares losses that hardly differ
                loss = F.cross_entropy(logits.double(), targets, reduction="sum") / n
                loss.backward()
                total = total + loss.detach()
            bar.advance(note=f"loss {total.item():.4f}")
            return total

        optimiser.step(objective)
        loss = objective().item()
    evaluations = optimiser.state[weight]["func_evals"]
    return Regression(weight.detach(), bias.detach(), loss, evaluations, evaluations < max_evaluations)
