"""What ``status`` tells of a workflow that is at work on a real Slurm, and that it leaves it alone."""

import subprocess
import sys

import pytest
import yaml
from slurm_checkout import SlurmCheckout
from slurm_cluster import NODES, wait_until


@pytest.fixture
def checkout(tmp_path):
    made = SlurmCheckout(tmp_path)
    made.table.write_text(made.table.read_text().replace("optimiser.epochs: 50", "optimiser.epochs: 5000"))
    path = tmp_path / "slurm/config.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["set-resources"]["pretrain"]["runtime"] = 10  # no limit comes near
    path.write_text(yaml.safe_dump(profile, sort_keys=False))
    return made


def told(checkout, *command: str) -> str:
    """What a command prints in the checkout."""
    arguments = [sys.executable, "-m", *command]
    done = subprocess.run(arguments, cwd=checkout.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_runs_are_queued_running_and_failed_for_the_reason_that_slurm_has(cluster, checkout, started):
    looks = ("cld.status", "--preset", "tiny", "--tables", "table_t")
    snakemake = started(checkout, "all_tables", "--retries", "0")

    def pretrainings(**wanted: str) -> list[dict]:
        assert snakemake.poll() is None, checkout.output.read_text()
        return [job for job in cluster.jobs(**wanted) if "pretrain" in job["comment"]]

    wait_until((checkout.folder / "results/tiny/stores/kitchen_hc.h5").exists, "the store is built", 180)
    for node in NODES:
        cluster.command("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    queued = wait_until(lambda: pretrainings(state="PENDING"), "pre-trainings are submitted", 120)
    wait_until(
        lambda: told(checkout, *looks).startswith("tiny: 3 queued of 3 runs"), "all are seen in the queue"
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

    cluster.command("scancel", jobs[0]["id"])
    run = jobs[0]["comment"].removeprefix("rule_pretrain_wildcards_tiny_")
    wait_until(
        lambda: any(run in line and "cancelled" in line for line in told(checkout, *looks).splitlines()),
        "it is seen that one was cancelled",
        60,
    )
