"""Training a classifier by SGD on random views of labelled images, with a rate that falls in steps."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import MultiStepLR

from cld.evaluation.classifier.views import Images
from cld.progress import progress
from cld.training.streams import stream_seed

#: Streams of random numbers, apart from those of pre-training and of the views.
ORDERS, HEADS = 18, 19


def linear_head(in_features: int, n_classes: int, seed: int) -> nn.Linear:
    """A linear classifier before its first step: weights normal with deviation 0.01, bias 0, as MoCo's."""
    head = nn.Linear(in_features, n_classes)
    nn.init.normal_(head.weight, std=0.01, generator=torch.Generator().manual_seed(stream_seed(seed, HEADS)))
    nn.init.zeros_(head.bias)
    return head


@dataclass(frozen=True)
class Epochs:
    """Which of ``n_images`` images each step shows, every one once in an epoch; iterates over (step, (B,)).

    Batches of an epoch differ by one image at most: a last one of a single image, which batch normalisation
    cannot take, does not come about.
    """

    n_images: int
    batch_size: int
    epochs: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return math.ceil(self.n_images / self.batch_size)

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        step = 0
        for epoch in range(self.epochs):
            generator = torch.Generator().manual_seed(stream_seed(self.seed, ORDERS, epoch))
            order = torch.randperm(self.n_images, generator=generator)
            for places in order.tensor_split(self.steps_per_epoch):
                yield step, places
                step += 1


def train_classifier(
    images: Images,
    labels: Tensor,
    classify: Callable[[Tensor], Tensor],
    optimiser: Optimizer,
    settings: Mapping,
    seed: int,
    label: str,
) -> float:
    """Train to the end of the last epoch, or until the loss is no number.

    Args:
        labels: (N,) int64 of ``images``, on the device.
        classify: from views (B, 3, S, S) to logits (B, C), by what ``optimiser`` trains.
        settings: ``batch_size``, ``epochs``, ``milestones`` (epochs) at which every rate is multiplied by
            ``gamma``, and ``crop_scale``.
        seed: what all that is random follows from.
        label: what the progress is called.

    Returns:
        The mean cross-entropy of the last epoch; not finite if training has diverged.
    """
    schedule = Epochs(len(images), settings["batch_size"], settings["epochs"], seed)
    steps_per_epoch, n_epochs = schedule.steps_per_epoch, settings["epochs"]
    decay = MultiStepLR(optimiser, settings["milestones"], settings["gamma"])
    total, mean = torch.zeros((), device=labels.device), math.nan
    with (
        images.random_views(schedule, settings["crop_scale"], seed) as batches,
        progress(label, n_epochs * steps_per_epoch, "steps") as bar,
    ):
        for (step, places), views in zip(schedule, batches, strict=True):
            loss = F.cross_entropy(classify(views), labels[places.to(labels.device)])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach() * len(places)
            if (step + 1) % steps_per_epoch == 0:
                decay.step()
                mean = total.item() / len(images)  # waits for the device
                if not math.isfinite(mean):
                    return mean
                total.zero_()
            bar.advance(note=f"epoch {step // steps_per_epoch + 1}/{n_epochs}, loss {mean:.4f}")
    return mean


@torch.inference_mode()
def logits_of(images: Images, network: nn.Module) -> Tensor:
    """What a network in evaluation mode says of every image under the transforms of testing, (N, C)."""
    with images.test_views() as batches:
        return torch.cat([network(views) for views in batches])
