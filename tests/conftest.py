import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

#: Markers by folder, and folders whose tests share fixtures and so are of one process.
MARKED = {"tests/slurm/": "slurm", "tests/workflow/": "workflow", "tests/inputs/": "inputs"}
TOGETHER = ("tests/slurm/", "tests/workflow/")
#: What takes longest begins first, so that no process is left with it at the end.
FIRST = (*TOGETHER, "tests/docs/", "tests/cld/faults/", "tests/cld/training/", "tests/inputs/")

# The processes of the tests share the cores; PyTorch's threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The same examples each time and no time limit per example: a busy machine fails no test.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def golden() -> dict:
    """Outputs of the authors' implementation (tests/golden/README.md): tensors, and plain numbers."""
    import torch  # imported here: most tests need no torch

    with np.load(Path(__file__).parent / "golden" / "golden.npz") as arrays:
        return {
            name: torch.from_numpy(array) if array.ndim else array.item() for name, array in arrays.items()
        }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for folder, marker in MARKED.items():
            if item.nodeid.startswith(folder):
                item.add_marker(marker)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, folder in enumerate(FIRST) if item.nodeid.startswith(folder)), len(FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    """One process has all tests of a file, and all of the Slurm or workflow folder: they share fixtures."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many inputs and faults were tried: this process has the reports of all that test."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    faults = [
        report.passed
        for report in reports
        if getattr(report, "when", None) == "call" and "faults" in report.keywords
    ]
    if faults:
        terminalreporter.write_line(f"faults: {len(faults)} cases, {sum(faults)} passed")
    counts = [
        value
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, value in report.user_properties
        if name == "inputs"
    ]
    if counts:
        inputs, refused, succeeded = map(sum, zip(*counts, strict=True))
        terminalreporter.write_line(f"inputs: {inputs} tried, {refused} refused, {succeeded} succeeded")
