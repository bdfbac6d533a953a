"""All that the next step depends on, in one object: the loop may use nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from cld.methods.base import Method
from cld.training.divergence import require_finite, require_spread
from cld.training.run_id import identity


@dataclass
class TrainingState:
    """A run between two steps; the fields are those of :mod:`cld.training.checkpoint`."""

    config: dict
    data: str
    method: Method
    optimiser: Optimizer
    scaler: GradScaler
    provenance: dict
    step: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    wall_time_s: float = 0.0

    def content(self) -> dict:
        """What a checkpoint holds.

        Raises:
            InputError: training has diverged.
        """
        self.require_finite()
        return {
            "config": self.config,
            "data": self.data,
            "encoder": self.method.encoder.state_dict(),
            "method": self.method.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "sums": self.sums,
            "rows": self.rows,
            "wall_time_s": self.wall_time_s,
            "provenance": self.provenance,
        }

    def restore(self, checkpoint: Mapping) -> None:
        """Take over a checkpoint of the same run."""
        self.method.load_state_dict(checkpoint["method"])
        self.optimiser.load_state_dict(checkpoint["optimiser"])
        self.scaler.load_state_dict(checkpoint["scaler"])
        device = next(self.method.parameters()).device
        self.sums = {name: total.to(device) for name, total in checkpoint["sums"].items()}
        self.step, self.rows = checkpoint["step"], checkpoint["rows"]
        self.wall_time_s = checkpoint["wall_time_s"]

    def count(self, terms: Mapping[str, Tensor]) -> None:
        """Add one step's scalars to the epoch's sums, on their device."""
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def end_epoch(self, n_steps: int) -> dict[str, float]:
        """The epoch's means, over its ``n_steps``; the sums start again. Waits for the device.

        Raises:
            InputError: training has diverged, or the features have collapsed to a point.
        """
        self.require_finite()
        means = {name: total.item() / n_steps for name, total in self.sums.items()}
        require_spread(means, self.step, self.config["optimiser"]["lr"])
        self.sums = {}
        return means

    def require_finite(self) -> None:
        """See :func:`cld.training.divergence.require_finite`."""
        require_finite(self.method, self.sums, self.step, self.config["optimiser"]["lr"])


def subject_of(checkpoint: Mapping) -> dict:
    """What is trained on what: the identity of a checkpoint's run, and the start of its store's checksum."""
    return {**identity(checkpoint["config"]), "store": checkpoint["data"][:12]}
