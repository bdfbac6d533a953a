"""Training a classifier by SGD on random views of labelled images; the rate falls at milestones.

Several processes that torchrun has started share out each batch. With synchronised norms they take the steps
that one process takes, but for the order of sums; what a network itself draws (EfficientNet drops whole
layers) is then drawn otherwise, with the same probability.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from cld.data.epoch_sampler import EpochSampler
from cld.evaluation.classifier.random_views import TrainingImages
from cld.runtime.distributed import (
    all_reduce_mean,
    print_rank0,
    rank,
    rank_slice,
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


@dataclass
class ClassifierTraining:
    """A training between two steps.

    Attributes:
        trained: what learns.
        total: sum of the cross-entropy over the images that the epoch has shown.
        mean: cross-entropy of the last whole epoch.
    """

    trained: nn.Module
    optimiser: Optimizer
    total: Tensor
    step: int = 0
    mean: float = math.nan

    def state(self) -> dict:
        """What :meth:`restore` resumes from."""
        return {
            "trained": self.trained.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "total": self.total,
            "step": self.step,
            "mean": self.mean,
        }

    def restore(self, state: Mapping) -> None:
        """Resume from the state of a training of the same network."""
        self.trained.load_state_dict(state["trained"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.total.copy_(state["total"])
        self.step, self.mean = state["step"], state["mean"]


def train_classifier(
    images: TrainingImages,
    labels: Tensor,
    classify: Callable[[Tensor], Tensor],
    trained: nn.Module,
    optimiser: Optimizer,
    settings: Mapping,
    seed: int,
    label: str,
    resumable: Resumable,
) -> float:
    """Train to the end of the last epoch, or until the loss is not finite; resumes from a saved state.

    Args:
        labels: (N,) int64 of ``images``, on the device.
        classify: from views (b, 3, S, S) to logits (b, C); where several processes share the batches, its
            gradients are averaged over them (:func:`cld.runtime.distributed.data_parallel`).
        trained: what learns of it.
        optimiser: of ``trained``.
        settings: ``batch_size``, ``epochs``, ``milestones`` (epochs) at which every rate is multiplied by
            ``gamma``, and ``crop_scale``.
        seed: what all that is random follows from.
        label: what the progress is called.
        resumable: where its state is kept; the caller removes it once it has the result.

    Returns:
        The mean cross-entropy of the last epoch; not finite if training has diverged.

    Raises:
        InputError: more processes than images in a batch, or the saved state is of another subject.
    """
    n_epochs = settings["epochs"]
    sampler = EpochSampler(seed, len(images), settings["batch_size"], equal_batches=True, stream=ORDERS)
    require_at_most(sampler.smallest_batch, "images of a batch")
    steps_per_epoch = sampler.steps_per_epoch
    n_steps = n_epochs * steps_per_epoch
    milestones = [epoch * steps_per_epoch for epoch in settings["milestones"]]
    rate = LearningRate(1, milestones=milestones, gamma=settings["gamma"])
    training = ClassifierTraining(trained, optimiser, torch.zeros((), device=labels.device))
    if state := resumable.load():
        training.restore(state)
        print_rank0(f"resumed from step {training.step} of {resumable.path}")
    sampler = replace(sampler, first=training.step, stop=n_steps)
    with (
        images.random_views(sampler, settings["crop_scale"], seed) as batches,
        progress(label, n_steps, "steps", done=training.step, shown=rank() == 0) as bar,
        resumable.saving(training.state) as after_step,
    ):
        for (step, index), views in zip(sampler, batches, strict=True):
            scale_learning_rates(optimiser, rate.at(step))
            torch.manual_seed(stream_seed(seed, NETWORKS, step, rank()))
            own = index[rank_slice(len(index))]
            # a mean over the slice, of which the mean over the processes is that over the batch
            share = world_size() * len(own) / len(index)
            loss = F.cross_entropy(classify(views), labels[own.to(labels.device)]) * share
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            training.total += all_reduce_mean(loss.detach()) * len(index)
            training.step += 1
            if training.step % steps_per_epoch == 0:
                training.mean = training.total.item() / len(images)  # waits for the device
                training.total.zero_()
                if not math.isfinite(training.mean):
                    training.step = n_steps  # nothing is left to train
                    break
            note = f"epoch {step // steps_per_epoch + 1}/{n_epochs}, loss {training.mean:.4f}"
            bar.advance(note=note)
            after_step(f"step {training.step}")
    return training.mean
