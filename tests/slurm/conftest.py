"""A Slurm to run the workflow on."""

import os
import signal
import subprocess

import pytest
from slurm_checkout import SlurmCheckout
from slurm_cluster import Cluster, install, is_installed


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A running Slurm. Skipped only outside CI, without Slurm or without the right to start one."""
    in_ci = bool(os.environ.get("CI"))
    if os.getuid() != 0:
        if in_ci:
            pytest.fail("CI must be root to start a Slurm of its own")
        pytest.skip("only root can start a Slurm of its own")
    if not is_installed():
        if not in_ci:
            pytest.skip("Slurm is not installed (apt-get install slurmctld slurmd slurm-client munge)")
        install()
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def started(cluster):
    """Starts Snakemake in a checkout; what still runs at the module's end is killed."""
    running = []

    def start(checkout: SlurmCheckout, *arguments: str) -> subprocess.Popen:
        running.append(checkout.start(*arguments))
        return running[-1]

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    cluster.command("scancel", "--user=root", check=False)


@pytest.fixture(scope="session")
def local(cluster, tmp_path_factory):
    """The tests' table, made without Slurm and undisturbed."""
    checkout = SlurmCheckout(tmp_path_factory.mktemp("local"))
    checkout.make("all_tables")
    return checkout
