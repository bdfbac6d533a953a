"""Training a classifier by SGD on random views of labelled images; the rate falls at milestones.

Several processes that torchrun has started share out each batch. With synchronised norms they take the steps
that one process takes, but for the order of sums; what a network itself draws (EfficientNet drops whole
layers) is then drawn otherwise, with the same probability.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from cld.data.epoch_sampler import EpochSampler, rank_slice
from cld.evaluation.classifier.random_views import random_views
from cld.evaluation.scored_run import ScoredRun
from cld.runtime.distributed import (
    all_reduce_mean,
    print_rank0,
    rank,
    require_at_most,
    world_size,
)
from cld.runtime.progress import progress
from cld.runtime.rng import stream_seed
from cld.training.resumable import Resumable
from cld.training.schedule import LearningRate, scale_learning_rates

#: Streams of random numbers, apart from those of pre-training and of the views.
ORDERS, HEADS, NETWORKS = 18, 19, 20


def linear_head(in_features: int, n_classes: int, seed: int) -> nn.Linear:
    """A linear classifier before its first step: weights normal with deviation 0.01, bias 0, as MoCo's."""
    head = nn.Linear(in_features, n_classes)
    nn.init.normal_(head.weight, std=0.01, generator=torch.Generator().manual_seed(stream_seed(seed, HEADS)))
    nn.init.zeros_(head.bias)
    return head


def train_classifier(
    run: ScoredRun,
    rows: np.ndarray,
    labels: np.ndarray,
    classify: Callable[[Tensor], Tensor],
    trained: nn.Module,
    optimiser: Optimizer,
    settings: Mapping,
    title: str,
    resumable: Resumable,
) -> float:
    """Train to the end of the last epoch, or until the loss is not finite; resumes from a saved state.

    All that is random follows from the run's seed.

    Args:
        rows: (N,) int64, which images of split train are learnt from.
        labels: int64, of all images of split train.
        classify: from views (b, 3, S, S) to logits (b, C); where several processes share the batches, its
            gradients are averaged over them (:func:`cld.runtime.distributed.data_parallel`).
        trained: what learns of it.
        settings: ``batch_size``, ``epochs``, ``milestones`` (epochs) at which every rate is multiplied by
            ``gamma``, and ``crop_scale``.
        resumable: where its state is kept; the caller removes it once it has the result.

    Returns:
        The mean cross-entropy of the last epoch; not finite if training has diverged.

    Raises:
        InputError: more processes than images in a batch, or the saved state is of another subject.
    """
    seed, n_epochs = run.config["seed"], settings["epochs"]
    sampler = EpochSampler(seed, len(rows), settings["batch_size"], equal_batches=True, stream=ORDERS)
    require_at_most(sampler.smallest_batch, "images of a batch")
    steps_per_epoch = sampler.steps_per_epoch
    n_steps = n_epochs * steps_per_epoch
    milestones = [epoch * steps_per_epoch for epoch in settings["milestones"]]
    rate = LearningRate(1, milestones=milestones, gamma=settings["gamma"])

    n_done, mean = 0, math.nan  # steps, and the cross-entropy of the last whole epoch
    total = torch.zeros((), device=run.device)  # over the images that the epoch has shown
    if saved := resumable.load():
        trained.load_state_dict(saved["trained"])
        optimiser.load_state_dict(saved["optimiser"])
        n_done, mean = saved["step"], saved["mean"]
        total.copy_(saved["total"])
        print_rank0(f"resumed from step {n_done} of {resumable.path}")

    def state() -> dict:
        states = {"trained": trained.state_dict(), "optimiser": optimiser.state_dict()}
        return {**states, "step": n_done, "mean": mean, "total": total}

    sampler = replace(sampler, first=n_done, stop=n_steps)
    targets = torch.from_numpy(labels[rows]).to(run.device)
    with (
        random_views(run, rows, sampler, settings["crop_scale"]) as batches,
        progress(title, n_steps, "steps", done=n_done, shown=rank() == 0) as bar,
        resumable.saving(state) as after_step,
    ):
        for (step, index), views in zip(sampler, batches, strict=True):
            scale_learning_rates(optimiser, rate.at(step))
            torch.manual_seed(stream_seed(seed, NETWORKS, step, rank()))
            own = index[rank_slice(len(index))]
            # a mean over the slice, of which the mean over the processes is that over the batch
            share = world_size() * len(own) / len(index)
            loss = F.cross_entropy(classify(views), targets[own.to(run.device)]) * share
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += all_reduce_mean(loss.detach()) * len(index)
            n_done = step + 1
            if n_done % steps_per_epoch == 0:
                mean = total.item() / len(rows)  # waits for the device
                total.zero_()
                if not math.isfinite(mean):
                    n_done = n_steps  # nothing is left to train
                    break
            bar.advance(note=f"epoch {step // steps_per_epoch + 1}/{n_epochs}, loss {mean:.4f}")
            after_step(f"step {n_done}")
    return mean
