"""Start a job's command as a step of Slurm's own: ``python -m slurm.launch --cpus 8 COMMAND [ARGUMENT...]``.

Slurm signals the processes that it started itself; without a step of its own, a command would never hear of
it. A command that ends with status 128 + the number of SIGURG (the limit is near), SIGUSR1 or SIGTERM has
saved where it was: the job goes back into the queue under its id and continues from there. Not if Slurm is
ending the job: it was cancelled, or is preempted and requeued anyway.

With ``--nodes`` and ``--processes`` torchrun starts the command, so often on each node (slurm/torchrun.py).
"""

import argparse
import os
import signal
import subprocess
import sys
import time

#: What a scheduler sends before it ends a job, and SIGURG, which the profile asks for before the time limit.
SIGNALS = (signal.SIGURG, signal.SIGUSR1, signal.SIGTERM)
#: slurmctld may be away for a while, and the job's limit is two minutes off.
ATTEMPTS, PAUSE_S = 8, 5


def main() -> None:
    """Run a command as a step of this job; one that a scheduler's signal ended comes back into the queue."""
    parser = argparse.ArgumentParser(prog="python -m slurm.launch", description=main.__doc__)
    parser.add_argument("--cpus", type=int, required=True, help="CPUs of a node")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="on each node")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run, with its arguments")
    args = parser.parse_args()
    received: list[int] = []
    for number in SIGNALS:  # some sites signal this process too: it waits for the command
        signal.signal(number, lambda number, _: received.append(number))
    status = subprocess.call(step(args.command, args.nodes, args.processes, args.cpus))
    stopped = [128 + number for number in SIGNALS]
    if received:  # so has srun, which kills the command at once
        stopped.append(128 + signal.SIGKILL)
    if status in stopped:
        requeue(status)
    sys.exit(status)


def step(command: list[str], nodes: int, processes: int, cpus: int) -> list[str]:
    """The srun command for ``command``: ``processes`` of it on each of ``nodes``, with ``cpus`` CPUs."""
    srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    srun += [f"--cpus-per-task={cpus}", "--cpu-bind=quiet", "--kill-on-bad-exit=1"]
    if nodes * processes == 1:
        return [*srun, *command]
    threads = max(1, cpus // processes)
    torchrun = [sys.executable, "-m", "slurm.torchrun", f"--processes={processes}", f"--threads={threads}"]
    return [*srun, *torchrun, *command]


def requeue(status: int) -> None:
    """Put this job back into the queue, unless Slurm is ending it."""
    # A task of an array by its number: the array's id alone would name all of them.
    array, task = (os.environ.get(f"SLURM_ARRAY_{part}_ID") for part in ("JOB", "TASK"))
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S)
        state = subprocess.run(
            ["squeue", "--noheader", f"--jobs={job}", "--format=%T"], capture_output=True, text=True
        )
        if state.returncode:
            continue
        if state.stdout.strip() != "RUNNING":
            return
        if subprocess.call(["scontrol", "requeue", job]) == 0:
            print(f"stopped with status {status}: job {job} goes back into the queue", file=sys.stderr)
            return


if __name__ == "__main__":
    main()
