"""A checkout whose Slurm profile asks for as much as the tests' nodes have."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("workflow_checkout", ROOT / "tests/workflow/conftest.py")
_workflow = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_workflow)

# A run takes long enough to be disturbed, and saves itself often.
TABLE = """
title: Table T
caption: Two group numbers.
dataset: kitchen_hc
method: npid
protocol: knn
metric: top1
row_header: group
seeds: [0]
set: {optimiser.epochs: 50, checkpoint_every_s: 0.5}
rows:
  - {key: "4", set: {cld.n_groups: 4}}
  - {key: "8", set: {cld.n_groups: 8}}
columns:
  - {key: kmeans, set: {cld.clustering: kmeans}}
references:
  - {key: npid, label: NPID, set: {cld.weight: 0}}
"""


class SlurmCheckout(_workflow.Checkout):
    """A checkout whose profile ``slurm`` fits the nodes: one CPU, small jobs, the shortest time limit."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        for table in (folder / "config/tables").glob("*.yaml"):
            table.unlink()
        self.table.write_text(TABLE)
        path = folder / "slurm/config.yaml"
        profile = yaml.safe_load(path.read_text())
        profile["config"] = ["preset=tiny"]
        profile["set-threads"] = dict.fromkeys(profile["set-threads"], 1)
        profile["slurm-init-seconds-before-status-checks"] = 1
        profile["latency-wait"] = 5
        for resources in [profile["default-resources"], *profile["set-resources"].values()]:
            if "mem_mb" in resources:
                resources["mem_mb"] = "1500 * attempt"
            if "runtime" in resources:
                resources["runtime"] = 10
        # Slurm's shortest limit is a minute, and its signal may come a minute early: soon after each start
        pretrain = profile["set-resources"]["pretrain"]
        pretrain["runtime"] = 1
        assert "URG@120" in pretrain["slurm_extra"]
        pretrain["slurm_extra"] = pretrain["slurm_extra"].replace("URG@120", "URG@30")
        path.write_text(yaml.safe_dump(profile, sort_keys=False))
        self.output = folder / "snakemake.out"

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
