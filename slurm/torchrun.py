"""A node's part of a run that several processes train: torchrun, with Slurm's names and signals.

``python -m slurm.torchrun --processes 4 --threads 2 COMMAND [ARGUMENT...]``, in a step with one task a node,
starts the command four times here. All processes meet at the first node of the job, at the address by which
Slurm reaches it, on a port that follows from the job's id.

torchrun by itself passes a scheduler's signal on to processes that Slurm has signalled already, and reports
failures in pages. This waits: the processes save together and end with the same status, which becomes this
one's. Where one fails, the others of its node are ended, one line says which it was, and srun ends the other
nodes.
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from cld.runtime.errors import InputError, run_command
from cld.runtime.torchrun import LOSS_IS_TOLD, LOST
from slurm.launch import SIGNALS

#: A process's exit status where it was told what it cannot do, see :mod:`cld.runtime.errors`.
BAD_INPUT = 2
#: Of srun's tasks the highest status counts: a failure's is above that of the nodes that end because of it.
FAILED = 255
#: Below the ports that the system gives away by itself.
PORTS = range(16384, 32768)
#: In which all nodes have to start.
MEET_S = 300
#: From the first process's end to the last one's: nothing is to be saved any more.
LEAVE_S = 10


def main() -> None:
    """Start this node's processes of a run and wait for their end."""
    parser = argparse.ArgumentParser(prog="python -m slurm.torchrun", description=main.__doc__)
    parser.add_argument("--processes", type=int, required=True, help="on this node")
    parser.add_argument("--threads", type=int, required=True, help="of a process")
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, help="what each of them runs, with its arguments"
    )
    args = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ |= {"OMP_NUM_THREADS": str(args.threads), LOSS_IS_TOLD: "1"}
    settings = config(args.processes)
    try:
        elastic_launch(settings, args.command[0])(*args.command[1:])
    except ChildFailedError as error:
        sys.exit(outcome(error.failures, settings.max_nodes * args.processes))
    except DistError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"no meeting with the other nodes at {settings.rdzv_endpoint} within {MEET_S} s ({reason})"
        ) from None


def config(processes: int) -> LaunchConfig:
    """torchrun's settings for this task of the step."""
    job, nodes = os.environ["SLURM_JOB_ID"], int(os.environ["SLURM_STEP_NUM_NODES"])
    port = PORTS[int(job) % len(PORTS)]
    return LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id=job,
        rdzv_backend="static",
        rdzv_endpoint=f"{first_node()}:{port}",
        rdzv_configs={"rank": int(os.environ["SLURM_NODEID"]), "timeout": MEET_S},
        max_restarts=0,
        signals_to_handle="SIGHUP,SIGQUIT",
        shutdown_timeout=LEAVE_S,
    )


def first_node() -> str:
    """The address of the step's first node."""
    names = said_by("scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"])
    return said_by("sinfo", "--noheader", f"--nodes={names.split()[0]}", "--format=%o").split()[0]


def said_by(*command: str) -> str:
    """What one of Slurm's commands prints.

    Raises:
        InputError: it fails; says how.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not done.stdout.strip():
        raise InputError(f"{' '.join(command)}: {done.stderr.strip() or 'printed nothing'}")
    return done.stdout


def outcome(failures: Mapping[int, ProcessFailure], n: int) -> int:
    """The status that stands for the processes that failed here, after a line that says what was wrong.

    Args:
        failures: by rank.
        n: how many processes there are on all nodes.
    """
    codes = {rank: failure.exitcode for rank, failure in failures.items()}  # -N: killed by signal N
    if stopped := {128 + number for number in SIGNALS if {128 + number, -number} & set(codes.values())}:
        return max(stopped)
    # one that was killed, or failed by itself, goes before those that ended for want of it
    rank = min(codes, key=lambda rank: (codes[rank] == LOST, codes[rank] > 0, failures[rank].timestamp))
    if codes[rank] not in (LOST, BAD_INPUT):  # of bad input the process has told
        name = signal.Signals(-codes[rank]).name if codes[rank] < 0 else ""
        how = f"was killed by {name}" if name else f"ended with status {codes[rank]}"
        where = os.environ["SLURMD_NODENAME"]
        print(f"error: process {rank} of {n}, on {where}, {how}", file=sys.stderr, flush=True)
    return FAILED


if __name__ == "__main__":
    run_command(main)
