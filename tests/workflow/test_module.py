"""The workflow used from another folder, with its own ``config/``, as docs/sharing.md says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import Checkout
from documents import code_blocks

ROOT = Path(__file__).parents[2]
CELL = "results/tiny/cells/table_a1/reference/chance.json"


@pytest.fixture
def folder(tmp_path):
    """A folder with a configuration and the Snakefile of the guide, and nothing of the project's code."""
    guide = code_blocks((ROOT / "docs/sharing.md").read_text(encoding="utf-8"))
    (snakefile,) = [block.text for block in guide if block.path == "workflow/Snakefile"]
    (tmp_path / "checkout").mkdir()
    shutil.move(Checkout(tmp_path / "checkout").folder / "config", tmp_path / "own/config")
    (tmp_path / "own/workflow").mkdir()
    snakefile = snakefile.replace("/path/to/checkout", str(ROOT))
    snakefile += '    print("forced:", os.environ["CLD_REPLACE_BEFORE"])\n'  # the last block is onstart
    (tmp_path / "own/workflow/Snakefile").write_text(snakefile)
    return tmp_path / "own"


def snakemake(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # as if the package was installed
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_all_targets_are_planned_and_a_cell_is_made_in_that_folder(folder):
    """The guide starts what the workflow starts by itself: Snakemake does not run a module's own onstart."""
    plan = snakemake(folder, "--dry-run")
    assert re.search(r"^pretrain +6$", plan, re.M) and re.search(r"^index +1$", plan, re.M)
    said = snakemake(folder, "--forcerun", "pretrain", "--", CELL)
    assert float(re.search(r"^forced: (\S+)$", said, re.M)[1]) > 0  # without it, forced runs would be kept
    assert (folder / CELL).is_file() and (folder / "results/tiny/stores/kitchen_hc.h5").is_file()
    assert "Nothing to be done" in snakemake(folder, "--dry-run", CELL)
