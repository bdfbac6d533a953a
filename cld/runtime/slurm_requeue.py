"""Run a job's training as a step of Slurm's; stopped by a signal, the job goes back into the queue.

``python -m cld.runtime.slurm_requeue --cpus 8 COMMAND [ARGUMENT...]`` in a Slurm job. Slurm signals a job's
steps: without a step of its own, the command would not learn that the job is about to end. A command that
ends with status 128 + the number of SIGURG (the time limit is near), SIGUSR1 or SIGTERM has saved its state:
the job is requeued under its id and resumes. Not if Slurm is ending the job: it was cancelled, or is
preempted and requeued anyway.

With ``--nodes`` and ``--processes`` torchrun starts the command that many times on each node. All processes
meet at the job's first node, where this runs, on a port that follows from the job's id.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time

#: What a scheduler sends before it ends a job, and SIGURG, which the profile asks for before the time limit.
SIGNALS = (signal.SIGURG, signal.SIGUSR1, signal.SIGTERM)
#: Below the ports that the system assigns by itself.
PORTS = range(16384, 32768)
#: A node's status where a process failed. Above the others: of its tasks' statuses, srun's is the highest.
FAILED = 255
#: slurmctld may be away for a while, and the job's limit is two minutes off.
ATTEMPTS, PAUSE_S = 8, 5
#: Seconds that torchrun gives processes to save, once one has ended or a signal has come.
SHUTDOWN_S = 60


def main() -> None:
    """Run a command as a step of this job; if a scheduler's signal stopped it, requeue the job."""
    parser = argparse.ArgumentParser(prog="python -m cld.runtime.slurm_requeue", description=main.__doc__)
    parser.add_argument("--cpus", type=int, required=True, help="CPUs of a node")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="on each node")
    parser.add_argument(
        "--torchrun", action="store_true", help="internal: run a node's torchrun, in the step"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run, with its arguments")
    args = parser.parse_args()
    if args.torchrun:
        sys.exit(run_torchrun(args.command))
    received = receive_signals()  # scancel --full signals this process too
    status = subprocess.call(step_command(args.command, args.nodes, args.processes, args.cpus))
    stopped = [128 + number for number in SIGNALS]
    if received:  # srun has received it as well, and kills the command at once
        stopped.append(128 + signal.SIGKILL)
    if status in stopped:
        requeue(status)
    sys.exit(status)


def receive_signals() -> list[int]:
    """Note signals of SIGNALS in the list that is returned, instead of ending."""
    received: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda number, _: received.append(number))
    return received


def step_command(command: list[str], nodes: int, processes: int, cpus: int) -> list[str]:
    """The srun command for ``command``: ``processes`` of it on each of ``nodes``, with ``cpus`` CPUs."""
    srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    srun += [f"--cpus-per-task={cpus}", "--cpu-bind=quiet", "--kill-on-bad-exit=1"]
    if nodes * processes == 1:
        return [*srun, *command]
    job = os.environ["SLURM_JOB_ID"]
    endpoint = f"{socket.gethostname()}:{PORTS[int(job) % len(PORTS)]}"
    signals = ",".join(("SIGINT", *(signal.Signals(number).name for number in SIGNALS)))
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}"]
    torchrun += [f"--nproc-per-node={processes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={endpoint}"]
    torchrun += [f"--rdzv-id={job}", f"--signals-to-handle={signals}", f"--shutdown-timeout={SHUTDOWN_S}"]
    in_step = [sys.executable, "-m", "cld.runtime.slurm_requeue", f"--cpus={cpus}", "--torchrun"]
    threads = ["env", f"OMP_NUM_THREADS={max(1, cpus // processes)}"]
    return [*srun, *in_step, *threads, *torchrun, "--no-python", *command]


def run_torchrun(command: list[str]) -> int:
    """The status of a node's torchrun: 128 + a signal's number if one of SIGNALS ended it, which it hides."""
    received = receive_signals()
    status = subprocess.call(command)
    if status and received:
        return 128 + received[0]
    return FAILED if status else 0


def requeue(status: int) -> None:
    """Put this job back into the queue, unless Slurm is ending it."""
    job = os.environ["SLURM_JOB_ID"]
    ask = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_S)
        state = subprocess.run(ask, capture_output=True, text=True)
        if state.returncode:
            continue
        if state.stdout.strip() != "RUNNING":
            return
        if subprocess.call(["scontrol", "requeue", job]) == 0:
            print(f"stopped with status {status}: job {job} goes back into the queue", file=sys.stderr)
            return


if __name__ == "__main__":
    main()
