"""The command line that starts a training in a workflow's job: in Slurm, with torchrun, in a container."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from typing import Any

from cld.runtime.errors import InputError


def processes_of(resources: Mapping[str, Any]) -> tuple[int, int]:
    """Nodes, and processes on each of them: one for each GPU that a job asks for.

    Args:
        resources: of a job: ``nodes``, and ``gpu`` (of all nodes) or ``gres`` (of each node).

    Raises:
        InputError: GPUs on several nodes that Slurm might distribute unevenly.
    """
    nodes, gpus = resources.get("nodes") or 1, resources.get("gpu") or 0
    if gres := re.fullmatch(r"gpu(?::(?!\d+$)[\w.]+)?(?::(\d+))?", resources.get("gres") or ""):
        gpus = int(gres[1] or 1)
    elif gpus and nodes > 1:
        raise InputError(
            f"gpu={gpus} on {nodes} nodes: name the GPUs of a node, gpu: 0 and "
            f"gres: \"'gpu:{max(1, gpus // nodes)}'\""
        )
    return nodes, max(1, gpus)


def launch_command(nodes: int, processes: int, threads: int, in_slurm: bool, container: str) -> str:
    """What to write before a training's command: a step of Slurm's or torchrun, then the container.

    What starts the processes stays outside the container, where Slurm's commands are. ``processes`` and
    ``threads`` (CPUs) are those of a node.
    """
    if in_slurm:
        options = f"--cpus {threads} --nodes {nodes} --processes {processes}"
        launcher = f"exec python -m cld.runtime.slurm_requeue {options}"
    elif processes > 1:
        launcher = f"exec torchrun --standalone --nproc-per-node={processes} --no-python"
    else:
        launcher = ""
    return f"{launcher} {container}".strip()


def container_command(image: str | None, arguments: str) -> str:
    """What enters the container; "" without one.

    Args:
        image: ``container`` of the configuration.
        arguments: further ones of the engine, as Snakemake's ``--apptainer-args``.

    Raises:
        InputError: there is no such image.
    """
    if not image:
        return ""
    if not os.path.exists(image):
        raise InputError(
            f"config/config.yaml: container: {image}: no such file; build it (docs/cluster.md, Containers)"
        )
    engine = "apptainer" if shutil.which("apptainer") else "singularity"
    start = shlex.join([engine, "exec", "--home", os.getcwd()])
    return " ".join(part for part in (start, arguments, shlex.quote(image)) if part)
