"""``snakemake --profile slurm`` makes the demo's Table A.1, in small, while all goes wrong on the cluster."""

import os
import signal
import time
from collections.abc import Callable

import pytest
from slurm_checkout import SlurmCheckout, Trainer, same_run, saved_trainers, trainers
from slurm_cluster import wait_until

#: What Snakemake ends with if a job that was left in the queue begins just while it reads which files are
#: there: such a job removes what an earlier start of it has made. docs/cluster.md says to start again.
JOB_BEGAN = "Unable to obtain modification time of file"


class Table:
    """Table A.1 in the making on a cluster."""

    def __init__(self, cluster, checkout: SlurmCheckout, start: Callable):
        self.cluster, self.checkout, self._start = cluster, checkout, start
        self.disturbed: dict[str, str] = {}  # the job of each run that something happened to
        self.snakemake = start(checkout, "all_tables")

    def at_work(self) -> list[tuple[Trainer, dict]]:
        """What trains and has saved a step, unless something happened to it before; with its job."""
        assert self.snakemake.poll() is None, self.checkout.output.read_text()
        jobs = {
            job["node"]: job for job in self.cluster.jobs(state="RUNNING") if "pretrain" in job["comment"]
        }
        return [
            (trainer, jobs[trainer.node])
            for trainer in saved_trainers(self.checkout)
            if trainer.node in jobs and trainer.run not in self.disturbed
        ]

    def disturb(self, event: Callable[[dict, Trainer], object], awaited: int | None = None) -> str:
        """Have something happen to a run that is at work.

        Args:
            event: is given the job and the process, which stands still meanwhile.
            awaited: the signal that has to reach it before it goes on.

        Returns:
            The id of its job.
        """
        trainer, job = wait_until(self.at_work, "a run is at work", 300)[0]
        held = trainers(self.checkout)  # the others too: they would be done before it is their turn
        for each in held:
            each.stand_still()
        event(job, trainer)
        if awaited:
            wait_until(lambda: trainer.was_sent(awaited), f"{signal.Signals(awaited).name} is sent", 120)
        for each in held:
            each.go_on()
        self.disturbed[trainer.run] = job["id"]
        return job["id"]

    def restart_snakemake(self) -> None:
        """Kill Snakemake while jobs are in the queue, of which each has saved a step, and start it again."""

        def all_saved() -> bool:
            running = [job for job in self.cluster.jobs(state="RUNNING") if "pretrain" in job["comment"]]
            return len(running) == len(saved_trainers(self.checkout)) > 0

        wait_until(all_saved, "all that runs is at work", 300)
        os.killpg(self.snakemake.pid, signal.SIGKILL)
        self.snakemake.wait()
        assert self._start(self.checkout, "--unlock").wait(120) == 0
        self.start_again()

    def start_again(self) -> None:
        """Start Snakemake, where none is at work."""
        self.snakemake = self._start(self.checkout, "all_tables")

    # what may happen

    def cancel_softly(self, job: dict, _: Trainer) -> None:
        # while other tasks of the array wait, scancel sends the signal again and again
        self.cluster.command("timeout", "2", "scancel", "--signal=TERM", job["id"], check=False)

    def lose_node(self, job: dict, _: Trainer) -> None:
        self.cluster.fail_node(job["node"])
        wait_until(lambda: self.cluster.states()[job["node"]].startswith("down"), "the node is down", 120)
        wait_until(lambda: self.cluster.jobs(id=job["id"])[0]["restarts"] == "1", "Slurm requeues", 120)
        self.cluster.start_node(job["node"])

    def near_limit(self, job: dict, _: Trainer) -> None:
        self.cluster.command("scontrol", "update", f"JobId={job['id']}", "TimeLimit=2")

    def preempt(self, job: dict, _: Trainer) -> None:
        urgent = ("--partition=urgent", f"--nodelist={job['node']}", "--output=/dev/null", "--wrap=sleep 1")
        self.cluster.command("sbatch", *urgent)

    def kill(self, _: dict, trainer: Trainer) -> None:
        os.kill(trainer.process, signal.SIGKILL)


@pytest.fixture(scope="module")
def made(cluster, started, tmp_path_factory):
    """The table, made through the queue, and the jobs by what happened to them."""
    table = Table(cluster, SlurmCheckout(tmp_path_factory.mktemp("slurm")), started)
    jobs = {
        "signal": table.disturb(table.cancel_softly, signal.SIGTERM),
        "limit": table.disturb(table.near_limit, signal.SIGURG),
        "preemption": table.disturb(table.preempt, signal.SIGTERM),
        "node": table.disturb(table.lose_node),
        "kill": table.disturb(table.kill),
    }
    cluster.stop("slurmctld")
    time.sleep(3)
    cluster.start_controller()
    table.restart_snakemake()
    if table.snakemake.wait(600) and JOB_BEGAN in table.checkout.output.read_text():
        table.start_again()
    assert table.snakemake.wait(600) == 0, table.checkout.output.read_text()
    return table, jobs


def test_the_table_is_the_one_made_locally(made, local):
    table, _ = made
    assert len(table.checkout.cells("table_a1")) == 12  # four rows of two, and four references
    assert table.checkout.cells("table_a1") == local.cells("table_a1")


def test_every_run_is_the_undisturbed_one_and_began_once(made, local):
    table, _ = made
    runs = [path.parent.name for path in local.results.glob("runs/*/checkpoint.pt")]
    assert len(runs) == 10
    for run in runs:
        assert same_run(table.checkout.run(run), local.run(run))
        assert table.checkout.log(run).count("begins") == 1
    for run in table.disturbed:
        assert table.checkout.resumed(run) and min(table.checkout.resumed(run)) > 0


def test_what_slurm_stops_continues_under_its_id(made, cluster):
    _, jobs = made
    for event in ("signal", "limit", "preemption", "node"):
        assert int(cluster.jobs(id=jobs[event])[0]["restarts"]) >= 1, event
    assert cluster.jobs(id=jobs["kill"])[0]["state"] == "FAILED"


def test_jobs_of_a_snakemake_that_was_killed_are_ended(made):
    table, _ = made
    assert "cancelling jobs that an earlier Snakemake left in the queue" in table.checkout.output.read_text()
