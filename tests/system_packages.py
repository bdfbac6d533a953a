"""What tests install of the system's packages in continuous integration (variable CI)."""

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path


def install(*packages: str) -> None:
    """Install packages of Debian or Ubuntu, as root or through sudo; one process at a time."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with (Path(tempfile.gettempdir()) / "cld-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            subprocess.run([*as_root, "apt-get", "-qq", *arguments], env=environment, check=True)
