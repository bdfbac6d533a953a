"""How long runs and evaluations take: what was recorded on this preset, and what follows for the rest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import yaml

from cld.reporting.job_time import job_time


@dataclass(frozen=True)
class Record:
    """A pre-training that was done: its work in multiply-accumulate operations, and seconds."""

    macs: float
    seconds: float


@dataclass(frozen=True)
class CostModel:
    """Seconds of a pre-training from its work.

    Attributes:
        macs_per_s: median of the records; without any, what the preset assumes.
        n_records: how many there are.
        typical, worst: by which factor the model was off, each record predicted from the others; None with
            fewer than two.
    """

    macs_per_s: float
    n_records: int
    typical: float | None = None
    worst: float | None = None

    @classmethod
    def calibrated(cls, records: Iterable[Record], assumed: float) -> "CostModel":
        """From records, or from an assumed speed where there are none."""
        speeds = [record.macs / record.seconds for record in records if record.seconds > 0]
        if not speeds:
            return cls(assumed, 0)
        if len(speeds) == 1:
            return cls(speeds[0], 1)
        off = []
        for i, speed in enumerate(speeds):
            ratio = median(speeds[:i] + speeds[i + 1 :]) / speed
            off.append(max(ratio, 1 / ratio))
        return cls(median(speeds), len(speeds), median(off), max(off))

    def seconds(self, macs: float | None) -> float | None:
        """Of so much work; None where it is not known."""
        return None if macs is None else macs / self.macs_per_s

    def __str__(self) -> str:
        if not self.n_records:
            return f"assumed: {self.macs_per_s:.2g} multiply-accumulates a second; no run is recorded yet"
        measured = (
            f"{self.macs_per_s:.2g} multiply-accumulates a second, from {self.n_records} recorded run(s)"
        )
        if self.typical is None:
            return measured
        off = f"off by a factor of {self.typical:.2f} (median) and {self.worst:.2f} (worst)"
        return f"{measured}, each predicted from the others: {off}"


def recorded_seconds(path: Path) -> float | None:
    """Wall time in a benchmark file of Snakemake's; None where there is none."""
    return (job_time(path) or {}).get("s")


def evaluation_seconds(folder: Path) -> dict[str, float]:
    """Median wall time of each protocol's recorded evaluations."""
    by_protocol: dict[str, list[float]] = {}
    for path in (folder / "benchmarks/evaluate").glob("*.tsv"):
        seconds = recorded_seconds(path)
        if seconds is not None:
            by_protocol.setdefault(path.stem.rpartition(".")[2], []).append(seconds)
    return {protocol: median(values) for protocol, values in by_protocol.items()}


def finished_runs(folder: Path) -> dict[str, Mapping]:
    """Configurations of the runs that are complete, by id."""
    return {
        path.parent.name: yaml.safe_load((path.parent / "config.yaml").read_text(encoding="utf-8"))
        for path in (folder / "runs").glob("*/checkpoint.pt")
        if (path.parent / "config.yaml").is_file()
    }
