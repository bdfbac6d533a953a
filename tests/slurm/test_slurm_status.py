"""What ``status`` tells of a workflow that is at work on a real Slurm, and that it leaves it alone."""

import os
import re
import signal
import subprocess
import sys

import pytest
from slurm_checkout import SlurmCheckout, saved_trainers, trainers
from slurm_cluster import NODES, wait_until

# Three runs that last until the test ends.
TABLE = """
title: Table T
caption: Two group numbers.
dataset: kitchen_hc
method: npid
protocol: knn
metric: top1
row_header: group
set: {optimiser.epochs: 5000}
rows:
  - {key: "4", set: {cld.n_groups: 4}}
  - {key: "8", set: {cld.n_groups: 8}}
columns:
  - {key: kmeans, set: {cld.clustering: kmeans}}
references:
  - {key: npid, label: NPID, set: {cld.weight: 0}}
"""


@pytest.fixture
def checkout(tmp_path):
    return SlurmCheckout(tmp_path, TABLE)


def told(checkout, *command: str) -> str:
    """What a command prints in the checkout."""
    arguments = [sys.executable, "-m", *command]
    done = subprocess.run(arguments, cwd=checkout.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_runs_are_queued_running_stopped_and_failed_for_the_reason_that_slurm_has(cluster, checkout, started):
    looks = ("cld.reporting.status", "--preset", "demo", "--tables", "table_t")
    snakemake = started(checkout, "all_tables", "--retries", "0")

    def pretrainings(**wanted: str) -> list[dict]:
        assert snakemake.poll() is None, checkout.output.read_text()
        found = [job for job in cluster.jobs(**wanted) if "pretrain" in job["comment"]]
        return found if len(found) == (3 if wanted["state"] == "PENDING" else 2) else []

    wait_until((checkout.folder / "results/demo/stores/kitchen_hc.h5").exists, "the store is built", 180)
    for node in NODES:
        cluster.command("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    queued = wait_until(lambda: pretrainings(state="PENDING"), "pre-trainings are submitted", 120)
    wait_until(
        lambda: told(checkout, *looks).startswith("demo: 3 queued of 3 runs"), "all are seen in the queue"
    )
    assert all(f"Slurm job {job['id']}" in told(checkout, *looks) for job in queued)

    for node in NODES:
        cluster.command("scontrol", "update", f"nodename={node}", "state=resume")
    wait_until(lambda: "2 running, 1 queued" in told(checkout, *looks), "two are seen to run", 120)
    jobs = pretrainings(state="RUNNING")
    assert len(jobs) == 2
    # Snakemake with the cluster's profile cancels what an earlier one left: not for one that only looks
    assert "2 running, 1 queued" in told(checkout, "snakemake", "--profile", "slurm", "status")
    assert pretrainings(state="RUNNING") == jobs
    assert list((checkout.folder / ".snakemake/locks").iterdir())
    assert all(f"Slurm job {job['id']}" in told(checkout, *looks) for job in jobs)

    wait_until(lambda: len(saved_trainers(checkout)) == 2, "both have saved themselves", 120)
    cluster.command("scancel", jobs[0]["id"])
    wait_until(
        lambda: re.search(r"1 stopped.*\n(.*\n)*Stopped and saved.*\n.*cancelled", told(checkout, *looks)),
        "it is seen that one was cancelled, and had saved itself",
    )
    killed = next(each for each in trainers(checkout) if each.node == jobs[1]["node"])
    os.kill(killed.process, signal.SIGKILL)
    wait_until(
        lambda: re.search(rf"1 failed.*\n(.*\n)*Failed\n *{killed.run} +killed", told(checkout, *looks)),
        "it is seen that one was killed",
    )
