"""Whatever stops a job that can be continued, it saves itself and comes back into the queue under its id."""

from slurm_cluster import wait_until
from toy_workflow import ToyWorkflow

# What trains, in small: it takes a while to save itself, and ends with 128 + the signal's number.
WORK = """
import os, signal, sys, time

got = []
for number in (signal.SIGURG, signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda number, _: got.append(number))
said = open(sys.argv[1], "a", buffering=1)
said.write(f"start {os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}\\n")
while not got and not os.path.exists("finish"):
    time.sleep(0.1)
if got:
    time.sleep(1)
    said.write(f"saved on {signal.Signals(got[0]).name}\\n")
    sys.exit(128 + got[0])
"""

RULES = """
rule all:
    input:
        expand("done/{i}", i=range(2)),


rule work:
    output:
        "done/{i}",
    resources:
        mpi=0,
        slurm_extra="--signal=URG@120 --open-mode=append",
    shell:
        "python -m slurm.launch --cpus 1 python work.py said{wildcards.i} && touch {output}"
"""


def near_its_limit(cluster, job):
    """A limit that is less than two minutes off: Slurm sends the signal that was asked for."""
    cluster.command("scontrol", "update", f"JobId={job}", "TimeLimit=2")


def preempted(cluster, job):
    """An urgent job wants the node."""
    node = cluster.jobs(id=job)[0]["node"]
    options = ("--partition=urgent", f"--nodelist={node}", "--output=/dev/null", "--wrap=sleep 1")
    cluster.command("sbatch", *options)


STOPS = (  # what is done to a job, and what its command says then
    (lambda cluster, job: cluster.command("scancel", "--signal=TERM", job), "saved on SIGTERM"),
    (lambda cluster, job: cluster.command("scancel", "--signal=USR1", job), "saved on SIGUSR1"),
    (near_its_limit, "saved on SIGURG"),
    (preempted, "saved on SIGTERM"),
    (lambda cluster, job: cluster.command("scontrol", "requeue", job), "saved on SIGTERM"),
    # to all of the job's processes, Snakemake's too
    (lambda cluster, job: cluster.command("scancel", "--full", "--signal=USR1", job), "saved on SIGUSR1"),
    # of which srun ends the command at once
    (lambda cluster, job: cluster.command("scancel", "--full", "--signal=TERM", job), None),
)


def test_a_job_that_is_stopped_continues_under_its_id(cluster, tmp_path):
    (tmp_path / "work.py").write_text(WORK)
    toy = ToyWorkflow(tmp_path, RULES, "--slurm-array-jobs", "work", "--jobs", "2")
    snakemake = toy.start()
    stopped, other = (tmp_path / f"said{i}" for i in range(2))

    def n_starts(file) -> int:
        assert snakemake.poll() is None, toy.output.read_text()
        return file.read_text().count("start") if file.exists() else 0

    try:
        wait_until(lambda: n_starts(stopped) and n_starts(other), "both jobs work", 240)
        start = stopped.read_text()
        job = start.split()[1]
        expected = start
        for n, (stop, line) in enumerate(STOPS, start=2):
            stop(cluster, job)
            wait_until(lambda n=n: n_starts(stopped) == n, f"job {job} starts for the {n}th time", 240)
            expected += f"{line}\n{start}" if line else start
            assert stopped.read_text() == expected
            cluster.command("scontrol", "update", f"JobId={job}", "TimeLimit=10")
        assert n_starts(other) == 1
        (tmp_path / "finish").touch()
        assert snakemake.wait(240) == 0, toy.output.read_text()
    finally:
        snakemake.kill()
    assert cluster.jobs(id=job)[0]["restarts"] == str(len(STOPS))
