"""A workflow whose jobs cost nothing, submitted as the project submits its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

HEAD = """
from slurm import executor

executor.install()
"""


class ToyWorkflow:
    """A folder with a Snakefile.

    Args:
        rules: the Snakefile; its jobs may start ``python -m slurm.launch``.
        options: of snakemake, further ones.
    """

    def __init__(self, folder: Path, rules: str, *options: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.options = folder, options
        (folder / "Snakefile").write_text(HEAD + rules)
        self.output = folder / "snakemake.out"

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake; what it prints is added to ``output``."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        environment["PYTHONPATH"] = str(ROOT)
        common = "--executor slurm --slurm-jobname-prefix cld --slurm-requeue --slurm-status-command squeue"
        common += " --slurm-init-seconds-before-status-checks 1 --slurm-logdir logs --latency-wait 10"
        common += " --keep-going --keep-incomplete --default-resources mem_mb=200 runtime=10"
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", *common.split(), *self.options, *arguments],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
