"""A checkout with the demo's Table A.1, in small, whose Slurm profile asks for what the tests' nodes have."""

import csv
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("workflow_checkout", ROOT / "tests/workflow/conftest.py")
_workflow = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_workflow)

#: Fewer and smaller pictures than the demo's.
KITCHENS = {
    "frames_per_scene": 12,
    "empty_per_scene": 0,
    "unannotated_per_scene": 0,
    "width": 240,
    "height": 136,
}


class SlurmCheckout(_workflow.Checkout):
    """A checkout for a cluster of small nodes.

    Args:
        table: text of a table to make instead of Table A.1.
        pretrain: what the profile asks for pre-trainings, where it is not what it says there.
    """

    def __init__(self, folder: Path, table: str = "", pretrain: Mapping[str, object] | None = None):
        super().__init__(folder)
        self.results, self.output = folder / "results/demo", folder / "snakemake.out"
        for path in (folder / "config/tables").glob("*.yaml"):
            path.unlink()
        if table:
            self.table.write_text(table)
        else:
            shutil.copy(ROOT / "config/tables/table_a1.yaml", folder / "config/tables")
        shutil.copy(ROOT / "config/config.yaml", folder / "config")
        with edited(folder / "config/presets/demo.yaml") as preset:
            preset["seeds"] = [0]
            preset["run"]["backbone"]["width"] = 4
            preset["run"]["optimiser"]["epochs"] = 12
            preset["run"]["checkpoint_every_s"] = 0.5
            preset["sources"]["gmu_kitchens"]["generate"] = KITCHENS
            preset["datasets"]["kitchen_hc"] = {"build": {"min_side_px": 4}}
        with edited(folder / "slurm/config.yaml") as profile:
            profile["config"] = ["preset=demo"]
            profile["set-threads"] = dict.fromkeys(profile["set-threads"], 1)
            profile["slurm-init-seconds-before-status-checks"] = 1
            profile["latency-wait"] = 10
            for resources in [profile["default-resources"], *profile["set-resources"].values()]:
                if "mem_mb" in resources:
                    resources["mem_mb"] = "1500 * attempt"
                if "runtime" in resources:
                    resources["runtime"] = 20
            profile["set-resources"]["pretrain"] |= pretrain or {}

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start ``snakemake --profile slurm``; what it prints is added to ``output``."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--profile", "slurm", *arguments],
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
        """What a pre-training said, over all its starts."""
        path = self.results / f"logs/pretrain/{run}.log"
        return path.read_text() if path.exists() else ""

    def resumed(self, run: str) -> list[int]:
        """The steps that a run went on from."""
        return [int(step) for step in re.findall(r"resumed from step (\d+)", self.log(run))]

    def cells(self, table: str) -> list[dict]:
        """A table's cells."""
        with (self.results / f"tables/{table}.csv").open() as file:
            return list(csv.DictReader(file))


@dataclass(frozen=True)
class Trainer:
    """A process that trains a run in a job.

    Attributes:
        rank: its number among those of the run.
    """

    process: int
    run: str
    node: str
    rank: int

    def was_sent(self, number: int) -> bool:
        """Whether a signal waits for this process, which stands still, or has ended it."""
        try:
            status = Path(f"/proc/{self.process}/status").read_text()
        except OSError:
            return True
        return bool(int(re.search(r"^ShdPnd:\s*(\w+)", status, re.M)[1], 16) >> (number - 1) & 1)

    def stand_still(self) -> None:
        """Take no further step."""
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGSTOP)

    def go_on(self) -> None:
        """End the standstill."""
        with suppress(ProcessLookupError):  # Slurm may have, before it sent a signal
            os.kill(self.process, signal.SIGCONT)


def trainers(checkout: SlurmCheckout) -> list[Trainer]:
    """The processes that train a checkout's runs."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().decode().split("\0")
            is_trainer = line[1:4] == ["-m", "cld.runtime.warm", "cld.training"]
            if not is_trainer or (entry / "cwd").resolve() != checkout.folder:
                continue
            words = (entry / "environ").read_bytes().decode().split("\0")
        except OSError:
            continue
        environment = dict(word.partition("=")[::2] for word in words)
        run = Path(line[line.index("--run-dir") + 1]).name
        node, rank = environment.get("SLURMD_NODENAME", ""), int(environment.get("RANK", 0))
        found.append(Trainer(int(entry.name), run, node, rank))
    return found


def saved_trainers(checkout: SlurmCheckout) -> list[Trainer]:
    """Those of them whose run has saved a step."""
    return [each for each in trainers(checkout) if (checkout.run(each.run) / "partial.pt").exists()]


@contextmanager
def edited(path: Path) -> Iterator[dict]:
    """A YAML file's content; what is changed in it is written back."""
    content = yaml.safe_load(path.read_text())
    yield content
    path.write_text(yaml.dump(content, Dumper=_Plain, sort_keys=False))


class _Plain(yaml.SafeDumper):
    """Writes what stands in two places twice: an edit of one is not one of the other."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def same_run(one: Path, other: Path) -> bool:
    """Whether two runs have the same weights, memories and state of the optimiser, to the bit."""
    first, second = (torch.load(run / "checkpoint.pt", weights_only=True) for run in (one, other))
    assert first["step"] == second["step"]
    return all(torch.equal(first["method"][name], value) for name, value in second["method"].items())
