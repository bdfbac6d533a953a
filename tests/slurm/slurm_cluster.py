"""A Slurm of one's own on one machine: two nodes with a fake GPU each, and daemons that tests may kill.

Real slurmctld, slurmd and munged, in a temporary folder. Only what is in FILES lies in /etc/slurm,
where Slurm's commands look inside jobs too: the Snakemake plugin drops SLURM_CONF from their environment.
Needs root.
"""

import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")
MARK = "# of the project's tests: made at their start, removed at their end\n"
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
NODES = ("node1", "node2")
PARTITION = "tests"

SLURM_CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# a requeued job waits until its credential has expired: two minutes without this; longer than messages of its
# earlier start are under way, which would end the new one
AuthInfo=socket={folder}/munge.socket,cred_expire=15
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,sched_min_interval=0,bf_interval=2,batch_sched_delay=0
GresTypes=gpu
JobRequeue=1
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=30
OverTimeLimit=0
MinJobAge=3600
ReturnToService=2
SlurmdTimeout=6
SlurmctldTimeout=10
InactiveLimit=0
MessageTimeout=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
{nodes}
PartitionName={partition} Nodes=ALL Default=YES MaxTime=1440 State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=1440 State=UP PriorityTier=2 PreemptMode=OFF
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=8000 "
    "Gres=gpu:fake:1 State=UNKNOWN"
)
GRES = "NodeName={name} Name=gpu Type=fake File={folder}/{name}-gpu0 Flags=nvidia_gpu_env"

# slurmd looks for control groups even where nothing is to be held by them, and ends without. This way it
# looks at nothing of the system's.
CGROUP = "CgroupPlugin=cgroup/v1\nCgroupMountpoint={folder}/cgroup\nCgroupAutomount=no\n"


def is_installed() -> bool:
    """Whether Slurm's daemons are there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return all(shutil.which(name, path=path) for name in ("slurmctld", "slurmd", "munged", "sbatch"))


def free_ports(n: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 60) -> object:
    """The first true value of ``condition``.

    Raises:
        TimeoutError: there was none in time; names ``what``.
    """
    give_up = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise TimeoutError(f"not within {timeout_s} s: {what}")
        time.sleep(0.2)
    return value


class Cluster:
    """A running cluster; use as a context manager."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "Cluster":
        CONFIGURATION.mkdir(exist_ok=True)
        self.lock = (CONFIGURATION / ".tests.lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)  # other tests on this machine have their own cluster: wait
        configuration = CONFIGURATION / "slurm.conf"
        if configuration.exists() and not configuration.read_text().startswith(MARK):
            raise RuntimeError(f"{configuration} belongs to another cluster: run these tests elsewhere")
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        host = socket.gethostname().split(".")[0]
        controller, *ports = free_ports(1 + len(NODES))
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        nodes, gres = [], []
        for name, port in zip(NODES, ports, strict=True):
            (self.folder / f"spool-{name}").mkdir(exist_ok=True)
            gpu = self.folder / f"{name}-gpu0"
            if not gpu.exists():  # Slurm wants a device: this one is another /dev/null
                os.mknod(gpu, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            nodes.append(NODE.format(name=name, host=host, port=port))
            gres.append(GRES.format(name=name, folder=self.folder))
        (CONFIGURATION / "gres.conf").write_text(MARK + "\n".join(gres) + "\n")
        (self.folder / "cgroup").mkdir(exist_ok=True)
        (CONFIGURATION / "cgroup.conf").write_text(MARK + CGROUP.format(folder=self.folder))
        (CONFIGURATION / "slurm.conf").write_text(
            MARK
            + SLURM_CONF.format(
                host=host,
                port=controller,
                folder=self.folder,
                nodes="\n".join(nodes),
                partition=PARTITION,
            )
        )
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self._launch(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={self.folder}/munge.socket",
            f"--pid-file={self.folder}/munged.pid",
            f"--seed-file={self.folder}/munge.seed",
            f"--log-file={self.folder}/munged.log",
        )
        wait_until((self.folder / "munge.socket").exists, "munged answers")
        self.start_controller()
        for name in NODES:
            self.start_node(name)
        wait_until(lambda: self.states() == dict.fromkeys(NODES, "idle"), "both nodes are idle")

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self.daemons and self.daemons["slurmctld"].poll() is None:
            self.command("scancel", "--user=root", check=False)
        for name in [name for name in self.daemons if name != "munged"] + ["munged"]:
            self.stop(name)
        for process in self._leftovers():
            os.kill(process, signal.SIGKILL)
        for name in FILES:
            path = CONFIGURATION / name
            if path.exists() and path.read_text().startswith(MARK):
                path.unlink()
        self.lock.close()

    def _leftovers(self) -> list[int]:
        """Processes that this cluster's jobs left: slurmstepd and what it started."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                is_manager = (entry / "comm").read_text().strip() == "slurmstepd"
                if is_manager or b"SLURM_CLUSTER_NAME=tests\0" in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def _launch(self, name: str, *arguments: str, program: str | None = None) -> None:
        path = shutil.which(program or name, path=f"/usr/sbin:/sbin:{os.environ['PATH']}")
        with (self.folder / f"{name}.out").open("ab") as output:
            self.daemons[name] = subprocess.Popen(
                [path, *arguments], stdout=output, stderr=output, start_new_session=True
            )

    def start_controller(self) -> None:
        """Start slurmctld with the state that an earlier one left."""
        self._launch("slurmctld", "-D")
        wait_until(lambda: self.command("scontrol", "ping", check=False).count("is UP"), "slurmctld answers")

    def start_node(self, name: str) -> None:
        """Start a node's slurmd."""
        self._launch(name, "-D", "-N", name, program="slurmd")

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """End a daemon by its name: slurmctld, munged or a node."""
        process = self.daemons.pop(name, None)
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def fail_node(self, name: str) -> None:
        """Let a node go down as in a power cut: slurmd and its jobs' processes are gone at once."""
        jobs = self.command("squeue", "--noheader", f"--nodelist={name}", "--format=%A").split()
        self.stop(name, signal.SIGKILL)

        def is_manager(title: str, _: bytes) -> bool:  # it would still tell slurmctld how the job ended
            return any(title.startswith(f"slurmstepd: [{job}.") for job in jobs)

        def is_of_node(_: str, environment: bytes) -> bool:
            return f"SLURMD_NODENAME={name}\0".encode() in environment

        for dies in (is_manager, is_of_node):
            for entry in Path("/proc").glob("[0-9]*"):
                try:
                    title = (entry / "cmdline").read_bytes().decode(errors="replace")
                    if dies(title, (entry / "environ").read_bytes()):
                        os.kill(int(entry.name), signal.SIGKILL)
                except OSError:
                    continue

    def command(self, *arguments: str, check: bool = True, timeout_s: float = 30) -> str:
        """A Slurm command's output; a command that hangs is an error."""
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout_s)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def states(self) -> dict[str, str]:
        """Each node's state, as sinfo prints it."""
        lines = self.command("sinfo", "--noheader", "--Node", f"--partition={PARTITION}", "--format=%N %t")
        return dict(line.split() for line in lines.splitlines())

    def jobs(self, **wanted: str) -> list[dict[str, str]]:
        """Jobs in the queue and finished ones: id, state, restarts, node, comment, folder of submission."""
        keys = ("id", "state", "restarts", "node", "comment", "folder")
        lines = self.command(
            "squeue",
            "--noheader",
            "--states=all",
            "--Format=JobID:|,State:|,RestartCnt:|,NodeList:|,Comment:|,WorkDir:|",
        )
        rows = [dict(zip(keys, line.split("|"), strict=False)) for line in lines.splitlines()]
        return [row for row in rows if all(row[key] == value for key, value in wanted.items())]
