"""``snakemake --profile slurm`` makes a table while jobs, a node, slurmctld and Snakemake are stopped."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from checkouts import TABLE, edited_yaml
from slurm_checkout import SlurmCheckout, Trainer, same_run, trainers
from slurm_cluster import NODES, wait_until

TIMEOUT_S = 300

#: Three runs. The one of eight groups is trained by two processes.
SLURM_TABLE = TABLE.replace("cld.n_groups: 8}", "cld.n_groups: 8, optimiser.parts: 2}").replace(
    "  - {key: chance, label: chance, protocol: chance}\n", ""
)


class Workflow:
    """The table in the making."""

    def __init__(self, cluster, checkout: SlurmCheckout):
        self.cluster, self.checkout = cluster, checkout
        self.first_seen: dict[int, float] = {}
        self.held: set[int] = set()  # processes that are suspended
        self.start_with_single_processes()

    def start(self, *options: str) -> None:
        self.snakemake = self.checkout.start("all_tables", *options)

    def start_with_single_processes(self) -> None:
        """Start; whatever the order of submission, the run of two processes waits in the queue."""
        for node in NODES:
            self.cluster.command("scontrol", "update", f"nodename={node}", "state=drain", "reason=tests")
        self.start()
        wait_until(lambda: self.pretrainings() == 3, "jobs are submitted", TIMEOUT_S)
        (self.of_two,) = (job["id"] for job in self.jobs() if "kmeans8" in job["comment"])
        self.cluster.command("scontrol", "hold", self.of_two)
        for node in NODES:
            self.cluster.command("scontrol", "update", f"nodename={node}", "state=resume")

    def kill(self) -> None:
        """Kill Snakemake, as a login node's restart does."""
        os.killpg(self.snakemake.pid, signal.SIGKILL)
        self.snakemake.wait()

    def jobs(self) -> list[dict[str, str]]:
        """The jobs that were submitted."""
        return self.cluster.jobs(folder=str(self.checkout.folder))

    def pretrainings(self) -> int:
        """How many jobs of pre-trainings were submitted."""
        return sum("pretrain" in job["comment"] for job in self.jobs())

    def suspended(self, n: int, runs: str = "", but: tuple[int, ...] = ()) -> list[Trainer]:
        """Wait until ``n`` processes train runs of that name and have saved them; suspend these processes.

        Args:
            but: processes that do not count.
        """

        def at_work() -> list[Trainer] | None:
            assert self.snakemake.poll() is None, self.checkout.output.read_text()
            found = [each for each in trainers(self.checkout) if each.run.find(runs) >= 0]
            found = [each for each in found if each.process not in but]
            for each in found:
                since = self.first_seen.setdefault(each.process, time.time())
                if each.process not in self.held and self.has_saved(each.run, since):
                    each.suspend()
                    self.held.add(each.process)
            held = [each for each in found if each.process in self.held]
            return held if len(held) == n else None

        return wait_until(at_work, f"{n} processes train", TIMEOUT_S)

    def has_saved(self, run: str, since: float) -> bool:
        """Whether a run's state was saved since a time."""
        partial = self.checkout.run(run) / "partial.pt"
        return partial.exists() and partial.stat().st_mtime > since

    def cancel_softly(self, processes: list[Trainer]) -> None:
        """Have Slurm send a job SIGTERM; its processes run again."""
        self.cluster.command("scancel", "--signal=TERM", processes[0].job)
        for each in processes:
            each.resume()
            self.held.discard(each.process)

    def wait_for_resumption(self, run: str) -> None:
        resumed = re.compile(r"resumed from step [1-9]\d* of ")
        wait_until(lambda: resumed.search(self.checkout.log(run)), f"{run} resumes", TIMEOUT_S)


class Made(NamedTuple):
    """A table that was made through all this.

    Attributes:
        undisturbed: folder of the same runs, trained here without a stop.
        forced: the run that was complete when pre-training was forced.
    """

    checkout: SlurmCheckout
    undisturbed: Path
    forced: str


@pytest.fixture(scope="module")
def made(cluster, tmp_path_factory):
    checkout = SlurmCheckout(tmp_path_factory.mktemp("workflow"))
    checkout.table.write_text(SLURM_TABLE)
    with edited_yaml(checkout.preset) as preset:
        preset["run"]["optimiser"]["epochs"] = 12
        preset["run"]["checkpoint_every_s"] = 0  # after every step
    with edited_yaml(checkout.folder / "slurm/cluster.yaml") as requests:
        on_two = "2 if 'kmeans8' in wildcards.run else 1"
        requests["resources"]["pretrain"] |= {"gpu": 0, "gres": "'gpu:fake:1'", "nodes": on_two}
    checkout.make("results/tiny/stores/kitchen_hc.h5")
    workflow = Workflow(cluster, checkout)
    try:
        forced = disturb(workflow)
        undisturbed = train_undisturbed(checkout, tmp_path_factory.mktemp("undisturbed"))
        assert workflow.snakemake.wait(TIMEOUT_S) == 0, checkout.output.read_text()
    finally:
        if workflow.snakemake.poll() is None:
            workflow.kill()
        cluster.command("scancel", "--user=root", check=False)
    return Made(checkout, undisturbed, forced)


def disturb(workflow: Workflow) -> str:
    """Stop what can be stopped while the runs are trained; returns the run that is forced."""
    cluster, checkout = workflow.cluster, workflow.checkout

    def is_in(trainer: Trainer, state: str) -> bool:
        return cluster.jobs(id=trainer.job)[0]["state"] == state

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
    cluster.command("scontrol", "release", workflow.of_two)

    # Snakemake is killed, not its jobs: one completes its run before the next Snakemake starts, which is told
    # to train it anew; the other one completes its run later, and that is kept
    assert workflow.pretrainings() == 3
    workflow.kill()
    assert checkout.start("--unlock").wait(TIMEOUT_S) == 0
    stopped_again.resume()
    wait_until(lambda: is_in(stopped_again, "COMPLETED"), f"{stopped.run} is complete", TIMEOUT_S)
    workflow.start("--forcerun", "pretrain")
    wait_until(lambda: workflow.pretrainings() == 6, "jobs are submitted again", TIMEOUT_S)
    lost_again.resume()

    # of the run of two processes, first both are stopped, then one is killed
    both = workflow.suspended(2, "kmeans8")
    assert {each.node for each in both} == set(NODES) and {each.rank for each in both} == {0, 1}
    workflow.cancel_softly(both)
    workflow.wait_for_resumption(both[0].run)
    both = workflow.suspended(2, "kmeans8", but=tuple(each.process for each in both))
    os.kill(both[1].process, signal.SIGKILL)
    both[0].resume()
    wait_until(lambda: is_in(both[0], "FAILED"), "the job fails", TIMEOUT_S)
    return stopped.run


TRAIN = """
import sys, yaml
from cld.training.loop import train
store, folder, *runs = sys.argv[1:]
for run in runs:
    with open(f"{run}/config.yaml") as file:
        config = yaml.safe_load(file) | {"checkpoint_every_s": 1000}
    train(config, store, f"{folder}/{run.rpartition('/')[2]}", "cpu")
"""


def train_undisturbed(checkout: SlurmCheckout, folder: Path) -> Path:
    """Train a checkout's runs in another folder, which is returned, without a stop."""
    (folder / "train.py").write_text(TRAIN)
    runs = sorted((checkout.results / "runs").iterdir())
    of_two = [run for run in runs if "kmeans8" in run.name]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for launcher, which in (([], set(runs) - set(of_two)), (torchrun, of_two)):
        command = [sys.executable, *launcher, folder / "train.py", checkout.results / "stores/kitchen_hc.h5"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(checkout.folder)}
        subprocess.run([*command, folder, *which], check=True, cwd=checkout.folder, env=environment)
    return folder


def test_every_run_is_the_undisturbed_one(made):
    runs = [path.name for path in (made.checkout.results / "runs").iterdir()]
    assert len(runs) == 3
    for run in runs:
        assert same_run(made.checkout.run(run), made.undisturbed / run)
    assert (made.checkout.results / "tables/table_a1.csv").exists()


def test_only_the_forced_run_was_trained_twice_from_scratch(made):
    """The last job of each run was the second Snakemake's; the others were complete or resumed."""
    for run in (made.checkout.results / "runs").iterdir():
        assert ("begins" in made.checkout.log(run.name)) == (run.name == made.forced)
        assert not list(run.glob("partial.pt"))
