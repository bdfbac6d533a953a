"""``snakemake --profile slurm`` makes a table while jobs, a node, slurmctld and Snakemake are stopped."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_checkout import SlurmCheckout, Trainer, same_run, trainers
from slurm_cluster import NODES, wait_until

TIMEOUT_S = 300


class Workflow:
    """The table in the making."""

    def __init__(self, cluster, checkout: SlurmCheckout):
        self.cluster, self.checkout = cluster, checkout
        self.start()

    def start(self) -> None:
        self.snakemake = self.checkout.start("all_tables")

    def kill(self) -> None:
        """Kill Snakemake, as a login node's restart does."""
        os.killpg(self.snakemake.pid, signal.SIGKILL)
        self.snakemake.wait()

    def pretrainings(self, state: str) -> list[str]:
        """The ids of pre-trainings' jobs."""
        return [job["id"] for job in self.cluster.jobs(state=state) if "pretrain" in job["comment"]]

    def suspended(self, n: int, runs: str = "", but: tuple[int, ...] = ()) -> list[Trainer]:
        """Wait until ``n`` processes train runs of that name and have saved them; suspend these processes.

        Args:
            but: processes that do not count.
        """

        def at_work() -> list[Trainer] | None:
            assert self.snakemake.poll() is None, self.checkout.output.read_text()
            found = [each for each in trainers(self.checkout) if each.run.find(runs) >= 0]
            saved = [each for each in found if each.process not in but and self.has_saved(each)]
            for each in saved:
                each.suspend()
            return saved if len(saved) == n else None

        return wait_until(at_work, f"{n} processes train", TIMEOUT_S)

    def has_saved(self, trainer: Trainer) -> bool:
        """Whether a process has saved its run since it started."""
        partial = self.checkout.run(trainer.run) / "partial.pt"
        try:
            return partial.stat().st_mtime > Path(f"/proc/{trainer.process}").stat().st_mtime
        except OSError:
            return False

    def cancel_softly(self, processes: list[Trainer]) -> None:
        """Have Slurm send a job SIGTERM; its processes run again."""
        self.cluster.command("scancel", "--signal=TERM", processes[0].job)
        for each in processes:
            each.resume()

    def wait_for_resumption(self, run: str) -> None:
        resumed = re.compile(r"resumed from step [1-9]\d* of ")
        wait_until(lambda: resumed.search(self.checkout.log(run)), f"{run} resumes", TIMEOUT_S)


@pytest.fixture(scope="module")
def made(cluster, tmp_path_factory):
    """The checkout whose table was made through all this."""
    checkout = SlurmCheckout(tmp_path_factory.mktemp("workflow"))
    workflow = Workflow(cluster, checkout)
    try:
        disturb(workflow)
        assert workflow.snakemake.wait(TIMEOUT_S) == 0, checkout.output.read_text()
    finally:
        if workflow.snakemake.poll() is None:
            workflow.kill()
        cluster.command("scancel", "--user=root", check=False)
    return checkout


def disturb(workflow: Workflow) -> None:
    cluster, checkout = workflow.cluster, workflow.checkout
    # of two runs one is stopped by a signal; the other one's node fails and slurmctld is restarted
    stopped, lost = workflow.suspended(2)
    assert {stopped.node, lost.node} == set(NODES)
    told = checkout.cld("status", "--preset", "tiny")
    assert told.returncode == 0 and "2 running" in told.stdout, told
    workflow.cancel_softly([stopped])
    workflow.wait_for_resumption(stopped.run)
    (stopped_again,) = workflow.suspended(1, stopped.run)
    cluster.fail_node(lost.node)
    cluster.stop("slurmctld")
    cluster.start_controller()
    wait_until(lambda: cluster.states()[lost.node].startswith("down"), "the node is down", TIMEOUT_S)
    cluster.start_node(lost.node)
    workflow.wait_for_resumption(lost.run)
    (lost_again,) = workflow.suspended(1, lost.run)
    for each in (stopped_again, lost_again):
        assert int(cluster.jobs(id=each.job)[0]["restarts"]) == 1

    # Snakemake is killed. Its jobs stay in the queue; those of the next one find the runs complete
    left = len(workflow.pretrainings("PENDING"))
    assert left == 1  # it asks for both nodes
    workflow.kill()
    assert checkout.start("--unlock").wait(TIMEOUT_S) == 0
    workflow.start()
    wait_until(
        lambda: len(workflow.pretrainings("PENDING")) == left + 3, "jobs are submitted again", TIMEOUT_S
    )
    for each in (stopped_again, lost_again):
        each.resume()

    # of the run of two processes, first both are stopped, then one is killed
    both = workflow.suspended(2, "kmeans8")
    assert {each.node for each in both} == set(NODES) and {each.rank for each in both} == {0, 1}
    workflow.cancel_softly(both)
    workflow.wait_for_resumption(both[0].run)
    both = workflow.suspended(2, "kmeans8", but=tuple(each.process for each in both))
    os.kill(both[1].process, signal.SIGKILL)
    both[0].resume()
    wait_until(lambda: cluster.jobs(id=both[0].job)[0]["state"] == "FAILED", "the job fails", TIMEOUT_S)


TRAIN = """
import sys, yaml
from cld.training.loop import train
store, folder, *runs = sys.argv[1:]
for run in runs:
    with open(f"{run}/config.yaml") as file:
        config = yaml.safe_load(file) | {"checkpoint_every_s": 1000}
    train(config, store, f"{folder}/{run.rpartition('/')[2]}", "cpu")
"""


@pytest.fixture(scope="module")
def undisturbed(made, tmp_path_factory):
    """The folder of the same runs, trained here without a stop."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "train.py").write_text(TRAIN)
    runs = sorted((made.results / "runs").iterdir())
    of_two = [run for run in runs if "kmeans8" in run.name]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for launcher, which in (([], set(runs) - set(of_two)), (torchrun, of_two)):
        command = [sys.executable, *launcher, folder / "train.py", made.results / "stores/kitchen_hc.h5"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(made.folder)}
        subprocess.run([*command, folder, *which], check=True, cwd=made.folder, env=environment)
    return folder


def test_every_run_is_the_undisturbed_one(made, undisturbed):
    runs = [path.name for path in (made.results / "runs").iterdir()]
    assert len(runs) == 3
    for run in runs:
        assert same_run(made.run(run), undisturbed / run)
    assert (made.results / "tables/table_t.csv").exists()


def test_no_run_was_trained_twice(made):
    """The last job of each run was the second Snakemake's, which found it complete."""
    for run in (made.results / "runs").iterdir():
        assert "begins" not in made.log(run.name)
        assert not list(run.glob("partial.pt"))
