"""Provenance of a result: code, libraries, hardware and date."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Distributions that take part in computing results, by the module they install.
LIBRARIES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "scipy": "scipy",
    "h5py": "h5py",
    "PIL": "pillow",
    "open3d": "open3d-cpu",
    "sklearn": "scikit-learn",
    "pycocotools": "pycocotools",
}


def provenance() -> dict:
    """What produced a result in this process; callers add seed, data checksum and wall time.

    Only libraries that this process has loaded are listed: the others took no part in the result. The host
    name is left out on purpose.

    Returns:
        ``code`` (version, commit, dirty; the last two None for a package installed without its checkout),
        ``libraries``, ``device``, ``threads`` (PyTorch's; None where it is not loaded) and ``date`` (UTC,
        ISO 8601).
    """
    torch = sys.modules.get("torch")
    return {
        "code": {"version": _version("cld"), **_commit()},
        "libraries": {
            "python": platform.python_version(),
            **{name: _version(name) for module, name in LIBRARIES.items() if module in sys.modules},
        },
        "device": torch.cuda.get_device_name() if torch and torch.cuda.is_initialized() else _processor(),
        "threads": torch.get_num_threads() if torch else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, str | bool | None]:
    unknown: dict[str, str | bool | None] = {"commit": None, "dirty": None}
    if not (ROOT / ".git").exists():  # an installed package; a folder above it may be another checkout
        return unknown
    # the commit without tags, with a suffix if a tracked file has changed
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or it refuses the folder
        return unknown
    return {"commit": text.removesuffix("-dirty"), "dirty": text.endswith("-dirty")}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
