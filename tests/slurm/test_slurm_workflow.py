"""``snakemake --profile slurm`` on a real Slurm, with everything that goes wrong on a cluster."""

import csv
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from slurm_checkout import SlurmCheckout
from slurm_cluster import wait_until

RUNS = "results/tiny/runs"


def table(checkout) -> list[dict]:
    """The table's cells."""
    with (checkout.folder / "results/tiny/tables/table_t.csv").open() as file:
        return list(csv.DictReader(file))


def log(checkout, run: str) -> str:
    """What a pre-training said, over all its starts."""
    path = checkout.folder / f"results/tiny/logs/pretrain/{run}.log"
    return path.read_text() if path.exists() else ""


def resumed(checkout, run: str) -> list[int]:
    """The steps that a run went on from."""
    return [int(step) for step in re.findall(r"resumed from step (\d+)", log(checkout, run))]


def same_run(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold the same weights, memories and state of the optimiser, to the bit."""
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    assert first["step"] == second["step"]
    return all(torch.equal(first["method"][name], value) for name, value in second["method"].items())


def running(cluster) -> list[dict]:
    """Jobs of pre-trainings that run."""
    return [job for job in cluster.jobs(state="RUNNING") if "pretrain" in job["comment"]]


def run_of(cluster, checkout, job) -> str:
    """The run that a job trains: the one whose output its processes were given."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
            line = (entry / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if f"SLURMD_NODENAME={job['node']}\0".encode() in environment and "cld.training" in line:
            return Path(line[line.index("--run-dir") + 1]).name
    return ""


@pytest.fixture(scope="module")
def checkout(cluster, tmp_path_factory):
    return SlurmCheckout(tmp_path_factory.mktemp("slurm-checkout"))


def test_a_gpu_job_sees_its_gpu_and_can_be_requeued(cluster, tmp_path):
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\nsrun sh -c 'echo \"gpu $CUDA_VISIBLE_DEVICES\"'\nsleep 600\n")
    output = tmp_path / "job.out"
    options = ("--parsable", "--gpus=fake:1", "--requeue", "--open-mode=append", f"--output={output}")
    job = cluster.command("sbatch", *options, str(script)).strip()
    wait_until(lambda: output.exists() and output.read_text().count("gpu 0") == 1, "the job runs")
    cluster.command("scontrol", "requeue", job)
    wait_until(lambda: output.read_text().count("gpu 0") == 2, "the requeued job runs")
    assert cluster.jobs(id=job)[0]["restarts"] == "1"
    cluster.command("scancel", job)


def test_whatever_happens_to_its_jobs_the_table_is_the_one_made_locally(cluster, checkout, local, started):
    snakemake = started(checkout, "all_tables")

    def at_work(minimum: int = 1) -> list[tuple[dict, str]]:
        """Jobs that train, with their runs, of which a state was saved."""
        assert snakemake.poll() is None, checkout.output.read_text()
        found = [(job, run_of(cluster, checkout, job)) for job in running(cluster)]
        found = [
            (job, run) for job, run in found if run and (checkout.folder / RUNS / run / "partial.pt").exists()
        ]
        return found if len(found) >= minimum else []

    # A signal, as before a preemption, to one; the other one's node goes down, and comes back after a while.
    (signalled, run), (lost, other) = wait_until(lambda: at_work(2), "two runs train", 180)
    cluster.command("scancel", "--signal=TERM", signalled["id"])
    cluster.fail_node(lost["node"])
    wait_until(lambda: cluster.states()[lost["node"]].startswith("down"), "Slurm sees that the node is down")
    wait_until(
        lambda: int(cluster.jobs(id=lost["id"])[0]["restarts"]) >= 1, "Slurm requeues the lost job", 120
    )
    cluster.start_node(lost["node"])
    # The controller is gone for a while.
    cluster.stop("slurmctld")
    time.sleep(3)
    cluster.start_controller()
    wait_until(lambda: resumed(checkout, run) and resumed(checkout, other), "both continue", 180)
    # Snakemake is killed and started again while jobs are in the queue.
    os.killpg(snakemake.pid, signal.SIGKILL)
    snakemake.wait()
    left = [job["id"] for job in cluster.jobs(state="RUNNING")]
    assert started(checkout, "--unlock").wait(120) == 0
    snakemake = started(checkout, "all_tables")
    assert snakemake.wait(300) == 0, checkout.output.read_text()
    if left:
        assert "cancelling jobs that an earlier Snakemake left" in checkout.output.read_text()

    assert table(checkout) == table(local)
    for expected in (local.folder / RUNS).glob("*/checkpoint.pt"):
        run = expected.parent.name
        assert same_run(checkout.folder / RUNS / run / "checkpoint.pt", expected)
        assert all(step > 0 for step in resumed(checkout, run))


def test_a_run_that_outlasts_its_time_limit_continues_by_itself_under_its_id(cluster, local, tmp_path):
    """As the profile starts it, with Slurm's shortest limit, a minute, and a signal soon after each start."""
    training = (
        f"{sys.executable} -m cld.training --preset tiny --dataset kitchen_hc --method npid --seed 0"
        f" --store results/tiny/stores/kitchen_hc.h5 --run-dir {tmp_path}/run optimiser.epochs=450"
    )
    script = tmp_path / "job.sh"
    script.write_text(f"#!/bin/sh\nexec {local.folder}/slurm/launch.sh 1 {training}\n")
    output = tmp_path / "job.out"
    options = ("--parsable", "--gpus=1", "--time=1", "--requeue", "--signal=URG@50", "--open-mode=append")
    job = cluster.command(
        "sbatch", *options, f"--chdir={local.folder}", f"--output={output}", str(script)
    ).strip()
    ended = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED")
    wait_until(lambda: cluster.jobs(id=job)[0]["state"] in ended, "the run ends", 560)
    assert cluster.jobs(id=job)[0]["state"] == "COMPLETED", output.read_text()
    said = output.read_text()
    stops = [int(step) for step in re.findall(r"stopped: step (\d+) is saved", said)]
    assert len(stops) == int(cluster.jobs(id=job)[0]["restarts"]) >= 1
    assert [int(step) for step in re.findall(r"resumed from step (\d+)", said)] == stops
    assert (tmp_path / "run/checkpoint.pt").exists()
