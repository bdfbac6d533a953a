"""A checkout whose Slurm profile asks for what the tests' nodes have."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from checkouts import Checkout, edited_yaml

POLLING = Path(__file__).parent / "polling_snakemake.py"


def fit(resources: dict) -> None:
    """Have jobs ask for what the tests' nodes have."""
    small = {"threads": 1, "mem_mb": "1500 * attempt", "runtime": 20}
    resources |= {name: value for name, value in small.items() if name in resources}


class SlurmCheckout(Checkout):
    """A checkout for a cluster of two small nodes."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.results, self.output = folder / "results/tiny", folder / "snakemake.out"
        with edited_yaml(self.preset) as preset:
            preset["seeds"] = [0]
            preset["run"]["workers"] = 0
        with edited_yaml(self.config) as config:
            config["device"] = "cpu"  # Slurm gives jobs GPUs that are none
        with edited_yaml(folder / "slurm/config.yaml") as profile:
            profile["slurm-init-seconds-before-status-checks"] = 1
            profile["latency-wait"] = 10
            fit(profile["default-resources"])
        with edited_yaml(folder / "slurm/cluster.yaml") as cluster:
            cluster["preset"] = "tiny"
            for resources in cluster["resources"].values():
                fit(resources)

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start ``snakemake --profile slurm``; what it prints is added to ``output``."""
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, POLLING, "--profile", "slurm", *arguments],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def run(self, name: str) -> Path:
        """The folder of a run."""
        return self.results / "runs" / name

    def log(self, run: str) -> str:
        """What a pre-training printed since its last start."""
        path = self.results / f"logs/pretrain/{run}.log"
        return path.read_text() if path.exists() else ""


@dataclass(frozen=True)
class Trainer:
    """A process that trains a run in a job.

    Attributes:
        rank: its number among those of the run.
    """

    process: int
    run: str
    job: str
    node: str
    rank: int

    def suspend(self) -> None:
        """Have it take no further step."""
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        with suppress(ProcessLookupError):  # Slurm may have, before it sent a signal
            os.kill(self.process, signal.SIGCONT)


def trainers(checkout: SlurmCheckout) -> list[Trainer]:
    """The processes that train a checkout's runs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().decode().split("\0")
            is_trainer = Path(line[0]).name.startswith("python") and "train" in line and "--run-dir" in line
            if (
                not is_trainer
                or line[1:3] == ["-m", "cld.runtime.slurm_requeue"]
                or "torch.distributed.run" in line
            ):
                continue
            if (entry / "cwd").resolve() != checkout.folder:
                continue
            words = (entry / "environ").read_bytes().decode().split("\0")
        except OSError:
            continue
        environment = dict(word.partition("=")[::2] for word in words)
        run = Path(line[line.index("--run-dir") + 1]).name
        node, job = environment.get("SLURMD_NODENAME", ""), environment.get("SLURM_JOB_ID", "")
        found.append(Trainer(int(entry.name), run, job, node, int(environment.get("RANK", 0))))
    return found


def same_run(one: Path, other: Path) -> bool:
    """Whether two runs have the same weights and memories, to the bit."""
    first, second = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (one, other))
    assert first["step"] == second["step"]
    return all(torch.equal(first["method"][name], value) for name, value in second["method"].items())
