"""How far a pre-training is in epochs, how fast it is and how long it still takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cld.reporting.status.job import Sight, State
from cld.training.run_folder import log_rows


@dataclass(frozen=True)
class Pace:
    """Of a run; what is not known is None.

    Attributes:
        epochs: that it has done.
        n_epochs: that it is to do.
        share: of its steps that it has done, 0..1.
        images_per_s: as last told.
        seconds_left: where it runs.
        seconds: that training has taken, of a run that is done.
    """

    epochs: int | None
    n_epochs: int
    share: float | None = None
    images_per_s: float | None = None
    seconds_left: float | None = None
    seconds: float | None = None

    @property
    def seconds_per_epoch(self) -> float | None:
        """Of a run that is done."""
        return self.seconds / self.n_epochs if self.seconds is not None and self.n_epochs else None


def pace(sight: Sight, folder: Path, config: Mapping, now: float) -> Pace:
    """The pace of a run.

    Args:
        sight: of its job.
        folder: the run's.
        config: its resolved configuration.
        now: in seconds since 1970.
    """
    n_epochs, batch_size = config["optimiser"]["epochs"], config["optimiser"]["batch_size"]
    rows = log_rows(folder / "log.csv")
    try:
        epochs = [(int(row["epoch"]), int(row["step"]), float(row["images_per_s"])) for row in rows]
        ended = float(rows[-1]["ended"]) if rows else None
    except (KeyError, TypeError, ValueError):  # of another version
        epochs, ended = [], None
    if sight.state == State.DONE:
        # of each epoch alone: a run that was stopped in between has waited, too
        seconds = sum(step / epoch * batch_size / speed for epoch, step, speed in epochs if speed)
        return Pace(n_epochs, n_epochs, 1.0, seconds=seconds if epochs else None)

    told = [line for line in sight.log.progress if line.label == sight.job.name] if sight.log else []
    if told and n_epochs:
        steps_per_epoch = told[-1].total / n_epochs
    elif epochs:
        steps_per_epoch = epochs[-1][1] / epochs[-1][0]
    else:
        return Pace(None, n_epochs)
    saved = sight.log.saved_step if sight.log else None
    step = max(saved or 0, told[-1].done if told else 0, epochs[-1][1] if epochs else 0)
    left_steps = steps_per_epoch * n_epochs - step
    if told and told[-1].seconds_left:
        seconds_left, when = told[-1].seconds_left, sight.when
        images_per_s = (told[-1].total - told[-1].done) * batch_size / seconds_left
    elif epochs and epochs[-1][2]:
        images_per_s, when = epochs[-1][2], ended
        seconds_left = left_steps * batch_size / images_per_s
    else:
        images_per_s, seconds_left, when = None, None, None
    if seconds_left is not None:
        seconds_left = max(seconds_left - max(now - when, 0), 0) if sight.state == State.RUNNING else None
    share = step / (steps_per_epoch * n_epochs)
    return Pace(int(step / steps_per_epoch), n_epochs, share, images_per_s, seconds_left)
