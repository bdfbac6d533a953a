"""Jobs in the queue whose Snakemake was killed: the next one would have their work done twice.

A Snakemake claims what it is about to make. Its lock says that no other one is at work on the same files, so
who claimed one of them before was killed, and its jobs that are still in the queue are ended.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from snakemake.exceptions import WorkflowError

from cld.runtime.files import write_json

POLL_S = 2


class Claim:
    """What a Snakemake makes, written down for the next one.

    Args:
        folder: Snakemake's own, ``.snakemake``.
        name: of its jobs in the queue.
        outputs: the files.
    """

    def __init__(self, folder: str | Path, name: str, outputs: Iterable[str]):
        self.path = Path(folder) / "slurm" / f"{name}.json"
        self.outputs = set(outputs)

    def take(self, tell: Callable[[str], None]) -> None:
        """Claim the files; jobs of an earlier Snakemake that claimed some of them are cancelled and awaited.

        Args:
            tell: is called with a line that names the jobs, if there are any.

        Raises:
            WorkflowError: the earlier Snakemake is at work on this machine, or the queue cannot be read.
        """
        if not self.outputs:
            return
        for path in self.path.parent.glob("*.json"):
            earlier = json.loads(path.read_text())
            if self.outputs.isdisjoint(earlier["outputs"]):
                continue
            maker = earlier["maker"]
            if maker == {**this_process(), "process": maker["process"], "started": started(maker["process"])}:
                raise WorkflowError(
                    f"another Snakemake, process {maker['process']}, makes some of the same files: let it end"
                )
            end_jobs(path.stem, tell)
            path.unlink(missing_ok=True)
        write_json(self.path, {"maker": this_process(), "outputs": sorted(self.outputs)})

    def release(self) -> None:
        """Give up the claim: nothing is left in the queue."""
        self.path.unlink(missing_ok=True)


def this_process() -> dict:
    """What tells this process from all others."""
    return {"host": socket.gethostname(), "process": os.getpid(), "started": started(os.getpid())}


def started(process: int) -> str | None:
    """When a process of this machine started, in the system's ticks; None: there is no such process."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def end_jobs(name: str, tell: Callable[[str], None]) -> None:
    """Cancel the jobs of a name, and return when they have left the queue; pre-trainings save themselves."""
    jobs = jobs_named(name)
    if jobs:
        tell(f"cancelling jobs that an earlier Snakemake left in the queue: {' '.join(jobs)}")
    while jobs:  # again and again: a job on its way back into the queue survives the first
        subprocess.run(["scancel", *jobs], check=False)
        time.sleep(POLL_S)
        jobs = jobs_named(name)


def jobs_named(name: str) -> list[str]:
    """The ids of the jobs of a name that wait, run or end; an array has one.

    Raises:
        WorkflowError: the queue cannot be read.
    """
    done = subprocess.run(
        ["squeue", "--noheader", f"--name={name}", "--format=%F"], capture_output=True, text=True
    )
    if done.returncode:
        raise WorkflowError(f"squeue: {done.stderr.strip()}")
    return sorted(set(done.stdout.split()), key=int)
