"""One pre-training on two nodes: it is stopped, loses a process, and is the run that nothing happened to."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from slurm_checkout import SlurmCheckout, same_run, trainers
from slurm_cluster import wait_until

# BYOL normalises over both processes.
TABLE = """
title: Table T
caption: A run of two processes.
dataset: kitchen_hc
method: byol
protocol: knn
metric: top1
row_header: group
set: {optimiser.parts: 2}
rows:
  - {key: "8", set: {cld.n_groups: 8}}
columns:
  - {key: kmeans, set: {cld.clustering: kmeans}}
"""
SCORE = "results/demo/cells/table_t/8/kmeans.json"


def checkout_of_two(local, folder: Path, **options: object) -> SlurmCheckout:
    """A checkout that makes the score of a run of two processes from the store of another one."""
    checkout = SlurmCheckout(folder, TABLE, **options)
    for name in ("results/demo/data", "results/demo/stores", ".snakemake/metadata"):
        shutil.copytree(local.folder / name, folder / name)
    return checkout


@pytest.fixture(scope="module")
def undisturbed(local, tmp_path_factory):
    """Where the local workflow has trained the run, with two processes of torchrun's."""
    checkout = checkout_of_two(local, tmp_path_factory.mktemp("two"))
    checkout.make(SCORE)
    return checkout


def test_a_run_of_two_nodes_survives_a_signal_and_the_death_of_a_process(
    cluster, local, undisturbed, started, tmp_path
):
    asked = {"gpu": 0, "gres": "'gpu:fake:1'", "nodes": 2}
    checkout = checkout_of_two(local, tmp_path / "slurm", pretrain=asked)
    (name,) = (path.name for path in (undisturbed.results / "runs").iterdir())
    snakemake = started(checkout, SCORE)

    def at_work() -> dict[int, int]:
        """Both processes, once a step has been saved since they started."""
        assert snakemake.poll() is None, checkout.output.read_text()
        found = {trainer.rank: trainer.process for trainer in trainers(checkout)}
        partial = checkout.run(name) / "partial.pt"
        began = max((Path(f"/proc/{process}").stat().st_mtime for process in found.values()), default=0)
        return found if len(found) == 2 and partial.exists() and partial.stat().st_mtime > began else {}

    processes = wait_until(at_work, "two processes train", 240)
    for process in processes.values():  # so that they do not end before they are told to
        os.kill(process, signal.SIGSTOP)
    (job,) = (job["id"] for job in cluster.jobs(state="RUNNING") if "pretrain" in job["comment"])
    cluster.command("scancel", "--signal=TERM", job)
    for process in processes.values():
        os.kill(process, signal.SIGCONT)
    wait_until(lambda: checkout.resumed(name), "the job continues", 240)
    assert cluster.jobs(id=job)[0]["restarts"] == "1"
    assert checkout.log(name).count("stopped: step") == 1

    processes = wait_until(at_work, "both train again", 240)
    os.kill(processes[1], signal.SIGKILL)
    assert snakemake.wait(400) == 0, checkout.output.read_text()
    assert cluster.jobs(id=job)[0]["state"] == "FAILED"  # and Snakemake submitted another one
    assert len(checkout.resumed(name)) == 2 and min(checkout.resumed(name)) > 0
    errors = [line for line in checkout.log(name).splitlines() if line.startswith("error:")]
    assert errors == ["error: process 1 of 2, on node2, was killed by SIGKILL"]
    assert not re.search("Traceback|ChildFailedError|elastic", checkout.log(name))
    assert same_run(checkout.run(name), undisturbed.run(name))
