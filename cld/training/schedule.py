"""The learning rate as a function of the step: nothing to save, nothing to resume.

One schedule for all that train: pre-training, linear and semi-supervised evaluation, and detection.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch.optim import Optimizer


@dataclass(frozen=True)
class LearningRate:
    """A linear warm-up, then a constant rate that falls at milestones, or half a cosine.

    Attributes:
        base: rate after the warm-up. With 1 the schedule gives shares, for :func:`scale_learning_rates`.
        warmup_steps: steps of the warm-up; 0 = none.
        warmup_start: rate at step 0.
        milestones: steps from which the rate is multiplied by ``gamma``, once each.
        gamma: see ``milestones``.
        cosine_steps: step at which the cosine reaches ``floor``; None = no cosine.
        floor: see ``cosine_steps``.
        cosine_from: step at which the cosine begins, at ``base``; None = after the warm-up. A warm-up that
            ends later rises to what the cosine has come down to by then.
        hold: steps that the cosine stays where it is; 1 = it falls at every step.
        hold_end: held steps have the cosine's value of their end, not of their start.
    """

    base: float
    warmup_steps: int = 0
    warmup_start: float = 0.0
    milestones: Sequence[int] = ()
    gamma: float = 1.0
    cosine_steps: int | None = None
    floor: float = 0.0
    cosine_from: int | None = None
    hold: int = 1
    hold_end: bool = False

    def at(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        if step < self.warmup_steps:
            top = self.base if self.cosine_from is None else self._cosine(self.warmup_steps)
            return self.warmup_start + (top - self.warmup_start) * step / self.warmup_steps
        if self.cosine_steps is not None:
            return self._cosine((step // self.hold + self.hold_end) * self.hold)
        return self.base * self.gamma ** sum(step >= milestone for milestone in self.milestones)

    def _cosine(self, step: int) -> float:
        start = self.warmup_steps if self.cosine_from is None else self.cosine_from
        done = (step - start) / (self.cosine_steps - start)
        return self.floor + (self.base - self.floor) * (1 + math.cos(math.pi * done)) / 2


def pretraining_rate(settings: Mapping, steps_per_epoch: int) -> LearningRate:
    """The schedule of the ``optimiser`` section of a run's configuration.

    Over the warm-up epochs the rate rises from lr / warmup_multiplier to lr. Then ``cosine`` falls to min_lr
    at the run's end, ``step`` is multiplied by gamma at each milestone (epochs from the run's start) and
    ``constant`` stays. The cosine begins after the warm-up, or at the run's start (``cosine_from``), where
    the warm-up ends on the cosine; it falls at every step or at every epoch (``cosine_at``).
    """
    kind, at = settings["schedule"], settings["cosine_at"]
    from_start = kind == "cosine" and settings["cosine_from"] == "start"
    return LearningRate(
        base=settings["lr"],
        warmup_steps=settings["warmup_epochs"] * steps_per_epoch,
        warmup_start=settings["lr"] / settings["warmup_multiplier"],
        milestones=[epoch * steps_per_epoch for epoch in settings["milestones"]] if kind == "step" else (),
        gamma=settings["gamma"],
        cosine_steps=settings["epochs"] * steps_per_epoch if kind == "cosine" else None,
        floor=settings["min_lr"],
        cosine_from=0 if from_start else None,
        hold=1 if at == "step" else steps_per_epoch,
        hold_end=at == "epoch_end",
    )


def scale_learning_rates(optimiser: Optimizer, share: float) -> None:
    """Set every parameter group's rate to ``share`` of the rate that it was made with."""
    for group in optimiser.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * share
