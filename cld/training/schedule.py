"""The learning rate as a function of the step: nothing to save, nothing to resume."""

import math
from collections.abc import Mapping


def learning_rate(step: int, steps_per_epoch: int, settings: Mapping) -> float:
    """Learning rate of one step of SGD.

    Over the warm-up epochs it rises linearly from lr / warmup_multiplier to lr. Then ``cosine`` falls to
    min_lr at the run's end, ``step`` is multiplied by gamma at each milestone (epochs from the run's start)
    and ``constant`` stays.

    Args:
        step: counted from 0 over the whole run.
        steps_per_epoch: batches in an epoch.
        settings: the ``optimiser`` section of a run's configuration.
    """
    base = settings["lr"]
    warmup = settings["warmup_epochs"] * steps_per_epoch
    if step < warmup:
        start = base / settings["warmup_multiplier"]
        return start + (base - start) * step / warmup
    if settings["schedule"] == "cosine":
        floor = settings["min_lr"]
        done = (step - warmup) / (settings["epochs"] * steps_per_epoch - warmup)
        return floor + (base - floor) * (1 + math.cos(math.pi * done)) / 2
    if settings["schedule"] == "step":
        epoch = step // steps_per_epoch
        return base * settings["gamma"] ** sum(epoch >= milestone for milestone in settings["milestones"])
    return base
