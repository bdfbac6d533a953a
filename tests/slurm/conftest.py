"""A Slurm to run the workflow on: one for all tests."""

import os

import pytest
from slurm_cluster import PACKAGES, Cluster, is_installed
from system_packages import install


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
        install(*PACKAGES)
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running
