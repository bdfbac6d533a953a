"""Whatever stops a job that is resumable, it saves its state and goes back into the queue under its id."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_checkout import POLLING
from slurm_cluster import wait_until

ROOT = Path(__file__).parents[2]

# In a training's place: it takes a while to save, and ends with 128 + the signal's number.
WORK = """
import os, signal, sys, time

received = []
for number in (signal.SIGURG, signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda number, _: received.append(number))
with open(sys.argv[1], "a", buffering=1) as log:
    log.write(f"start of {os.environ['SLURM_JOB_ID']}\\n")
    while not received and not os.path.exists("finish"):
        time.sleep(0.1)
    if received:
        time.sleep(1)
        log.write(f"saved on {signal.Signals(received[0]).name}\\n")
        sys.exit(128 + received[0])
"""

RULES = """
rule all:
    input:
        expand("done/{i}", i=range(4)),


rule work:
    output:
        "done/{i}",
    resources:
        mpi=0,
        slurm_extra="--signal=URG@120 --open-mode=append",
    shell:
        "python -m cld.runtime.slurm_requeue --cpus 1 python work.py log{wildcards.i} && touch {output}"
"""
OPTIONS = """
    --executor slurm --slurm-no-account --slurm-requeue --slurm-status-command squeue --jobs 4
    --slurm-init-seconds-before-status-checks 1 --slurm-logdir logs --latency-wait 10
    --default-resources mem_mb=200 runtime=10
"""
STOPS = (
    (("scancel", "--signal=TERM", "{job}"), "SIGTERM"),
    (("scancel", "--signal=USR1", "{job}"), "SIGUSR1"),
    (("scontrol", "requeue", "{job}"), "SIGTERM"),
    # its limit is less than two minutes off, where Slurm sends the signal that was asked for
    (("scontrol", "update", "JobId={job}", "EndTime=now+110"), "SIGURG"),
)


@pytest.fixture
def snakemake(cluster, tmp_path):
    """A workflow of four jobs, each of which runs WORK."""
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "Snakefile").write_text(RULES)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path}
    with open(tmp_path / "snakemake.out", "wb") as output:
        process = subprocess.Popen(
            [sys.executable, POLLING, *OPTIONS.split()],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        cluster.command("scancel", "--user=root", check=False)


def test_a_job_that_is_stopped_resumes_under_its_id(cluster, snakemake, tmp_path):
    logs = [tmp_path / f"log{i}" for i in range(4)]

    def wait_for_start(number: int, which: list[int]) -> None:
        def have_started() -> bool:
            assert snakemake.poll() is None, (tmp_path / "snakemake.out").read_text()
            return all(
                logs[i].exists() and logs[i].read_text().count("start") == expected[i].count("start") + 1
                for i in which
            )

        wait_until(have_started, f"start {number} of jobs {which}", 300)
        for i in which:
            expected[i] += f"start of {jobs.setdefault(i, logs[i].read_text().split()[2])}\n"
        assert [log.read_text() for log in logs] == expected

    jobs: dict[int, str] = {}
    expected = [""] * 4
    wait_for_start(1, [0, 1, 2, 3])
    for i, (command, name) in enumerate(STOPS):
        cluster.command(*(word.format(job=jobs[i]) for word in command))
        expected[i] += f"saved on {name}\n"
    wait_until(lambda: "SIGURG" in logs[3].read_text(), "job 3 saves", 300)
    cluster.command(
        "scontrol", "update", f"JobId={jobs[3]}", "TimeLimit=10"
    )  # of its next start, which is later
    wait_for_start(2, [0, 1, 2, 3])

    # an urgent job preempts those of its node
    node = cluster.jobs(id=jobs[0])[0]["node"]
    preempted = [i for i in range(4) if cluster.jobs(id=jobs[i])[0]["node"] == node]
    options = ("--partition=urgent", f"--nodelist={node}", "--exclusive", "--output=/dev/null")
    cluster.command("sbatch", *options, "--wrap=sleep 1")
    for i in preempted:
        expected[i] += "saved on SIGTERM\n"
    wait_for_start(3, preempted)

    (tmp_path / "finish").touch()
    for i in range(4):
        wait_until(lambda i=i: cluster.jobs(id=jobs[i], state="COMPLETED"), f"job {i} completes", 300)
        assert (tmp_path / f"done/{i}").exists()
    for i in range(4):
        restarts = expected[i].count("start") - 1
        assert cluster.jobs(id=jobs[i])[0]["restarts"] == str(restarts)
