"""All that the next step depends on, in one object: what is not in here, the loop may not use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from cld.config import flat, identity
from cld.methods.base import Method
from cld.runtime.errors import InputError
from cld.training.checkpoint import save_checkpoint

#: Feature spread, averaged over an epoch, below which features tell images apart no more.
COLLAPSED = 0.01


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

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically.

        Raises:
            InputError: training has diverged; the file is left as it was.
        """
        self.require_finite()
        save_checkpoint(
            path,
            {
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
            },
        )

    def restore(self, checkpoint: Mapping) -> None:
        """Go on from a checkpoint of the same run."""
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
        """The epoch's means, over its ``n_steps``; the sums start again.

        Raises:
            InputError: training has diverged, or the features have collapsed to a point.
        """
        self.require_finite()
        means = {name: total.item() / n_steps for name, total in self.sums.items()}
        spread = means.get("feature_spread", 1.0)
        if spread < COLLAPSED:
            raise InputError(
                f"features have collapsed by step {self.step}: feature_spread is {spread:.4f} (1 = even, "
                f"0 = all alike); lower optimiser.lr ({self.config['optimiser']['lr']:g}), lengthen the "
                "warm-up, or with BYOL raise byol.momentum; partial.pt has the last state that was saved"
            )
        self.sums = {}
        return means

    def require_finite(self) -> None:
        """Look for NaN and infinity in this epoch's terms, in the weights and in what the method remembers.

        Raises:
            InputError: names the terms.
        """
        bad = [name for name, total in self.sums.items() if not total.isfinite()]
        if not bad:
            bad = [name for name, value in self.method.state_dict().items() if not value.isfinite().all()][:3]
        if bad:
            raise InputError(
                f"training diverged by step {self.step}: {', '.join(bad)} not finite; lower optimiser.lr "
                f"({self.config['optimiser']['lr']:g}) or lengthen the warm-up"
            )


def require_same_run(checkpoint: Mapping, config: Mapping, data: str, path: Path) -> None:
    """Refuse to go on from a checkpoint of another run.

    Raises:
        InputError: the configuration or the store's checksum differs; names both values of each key.
    """
    theirs, ours = (flat(identity(run)) for run in (checkpoint["config"], config))
    keys = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
    fix = "delete it to start afresh, or name another run folder"
    if keys:
        changes = ", ".join(f"{key} {theirs.get(key)} there, {ours.get(key)} here" for key in keys)
        raise InputError(f"{path}: belongs to another run ({changes}); {fix}")
    if checkpoint["data"] != data:
        checksums = f"store {checkpoint['data'][:12]} there, {data[:12]} here"
        raise InputError(f"{path}: was trained on other data ({checksums}); {fix}")
