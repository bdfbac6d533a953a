"""Training a classifier by SGD on random views of labelled images, resumable; the rate falls in steps.

Several processes that torchrun has started share out each batch. With synchronised norms they take the steps
that one process takes, but for the order of sums; what a network itself draws (EfficientNet drops whole
layers) is then drawn otherwise, with the same probability.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from cld.evaluation.classifier.views import Images
from cld.runtime.distributed import (
    all_gather_objects,
    all_reduce_mean,
    print_rank0,
    rank,
    rank_slice,
    require_at_most,
    world_size,
)
from cld.runtime.progress import no_progress, progress
from cld.runtime.rng import stream_seed
from cld.training.resumable import Resumable

#: Streams of random numbers, apart from those of pre-training and of the views.
ORDERS, HEADS, NETWORKS = 18, 19, 20


def linear_head(in_features: int, n_classes: int, seed: int) -> nn.Linear:
    """A linear classifier before its first step: weights normal with deviation 0.01, bias 0, as MoCo's."""
    head = nn.Linear(in_features, n_classes)
    nn.init.normal_(head.weight, std=0.01, generator=torch.Generator().manual_seed(stream_seed(seed, HEADS)))
    nn.init.zeros_(head.bias)
    return head


@dataclass(frozen=True)
class Epochs:
    """Which of ``n_images`` images each step shows, every one once in an epoch; iterates over (step, (B,)).

    It begins with the step ``first``. Batches of an epoch differ by one image at most: a last one of a single
    image, which batch normalisation cannot take, does not come about.
    """

    n_images: int
    batch_size: int
    epochs: int
    seed: int
    first: int = 0

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return math.ceil(self.n_images / self.batch_size)

    @property
    def least(self) -> int:
        """Images of the smallest batch."""
        return self.n_images // self.steps_per_epoch

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        step = self.first
        while step < self.epochs * self.steps_per_epoch:
            epoch, done = divmod(step, self.steps_per_epoch)
            generator = torch.Generator().manual_seed(stream_seed(self.seed, ORDERS, epoch))
            order = torch.randperm(self.n_images, generator=generator)
            for places in order.tensor_split(self.steps_per_epoch)[done:]:
                yield step, places
                step += 1


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
    decay: MultiStepLR
    total: Tensor
    step: int = 0
    mean: float = math.nan

    def state(self) -> dict:
        """What :meth:`restore` goes on from."""
        return {
            "trained": self.trained.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "decay": self.decay.state_dict(),
            "total": self.total,
            "step": self.step,
            "mean": self.mean,
        }

    def restore(self, state: Mapping) -> None:
        """Go on from the state of a training of the same network."""
        for part in ("trained", "optimiser", "decay"):
            getattr(self, part).load_state_dict(state[part])
        self.total.copy_(state["total"])
        self.step, self.mean = state["step"], state["mean"]


def train_classifier(
    images: Images,
    labels: Tensor,
    classify: Callable[[Tensor], Tensor],
    trained: nn.Module,
    optimiser: Optimizer,
    settings: Mapping,
    seed: int,
    label: str,
    partial: Resumable,
) -> float:
    """Train to the end of the last epoch, or until the loss is no number, from where it was left before.

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
        partial: where it is kept; the caller removes it once nothing needs it more.

    Returns:
        The mean cross-entropy of the last epoch; not finite if training has diverged.

    Raises:
        InputError: more processes than images in a batch, or ``partial`` is of another subject.
    """
    batch_size, n_epochs = settings["batch_size"], settings["epochs"]
    schedule = Epochs(len(images), batch_size, n_epochs, seed)
    require_at_most(schedule.least, "images of a batch")
    decay = MultiStepLR(optimiser, settings["milestones"], settings["gamma"])
    training = ClassifierTraining(trained, optimiser, decay, torch.zeros((), device=labels.device))
    if kept := partial.load():
        training.restore(kept)
        print_rank0(f"resumed from step {training.step} of {partial.path}")
    schedule = replace(schedule, first=training.step)
    steps_per_epoch = schedule.steps_per_epoch
    n_steps = n_epochs * steps_per_epoch
    shown = progress(label, n_steps, "steps", done=training.step)
    with (
        images.random_views(schedule, settings["crop_scale"], seed) as batches,
        shown if rank() == 0 else no_progress() as bar,
        partial.saving(training.state) as after_step,
    ):
        for (step, places), views in zip(schedule, batches, strict=True):
            torch.manual_seed(stream_seed(seed, NETWORKS, step, rank()))
            own = places[rank_slice(len(places))]
            # a mean over the slice, of which the mean over the processes is that over the batch
            share = world_size() * len(own) / len(places)
            loss = F.cross_entropy(classify(views), labels[own.to(labels.device)]) * share
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            training.total += all_reduce_mean(loss.detach()) * len(places)
            training.step += 1
            if training.step % steps_per_epoch == 0:
                decay.step()
                training.mean = training.total.item() / len(images)  # waits for the device
                training.total.zero_()
                if not math.isfinite(training.mean):
                    training.step = n_steps  # there is nothing to go on with
                    break
            note = f"epoch {step // steps_per_epoch + 1}/{n_epochs}, loss {training.mean:.4f}"
            bar.advance(note=note)
            after_step(f"step {training.step}")
    return training.mean


@torch.inference_mode()
def logits_of(images: Images, network: nn.Module) -> Tensor:
    """What a network in evaluation mode says of every image under the transforms of testing, (N, C).

    Each process looks at its share of the images, one at least, and has what all found.
    """
    with images.test_views() as batches:
        own = torch.cat([network(views) for views in batches])
    return torch.cat([logits.to(own.device) for logits in all_gather_objects(own.cpu())])
