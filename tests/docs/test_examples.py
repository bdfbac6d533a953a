"""The scripts that someone copies into a training of their own run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs/examples"


def printed(name, folder):
    done = subprocess.run([sys.executable, EXAMPLES / name], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_loop_in_plain_pytorch(tmp_path):
    steps = re.findall(
        r"instance loss ([\d.]+), cross-level loss ([\d.]+)", printed("train_with_cld.py", tmp_path)
    )
    assert len(steps) == 10
    assert all(0 < float(loss) < 20 for step in steps for loss in step)


@pytest.mark.slow
def test_the_module_of_lightning(tmp_path):
    out = printed("lightning_with_cld.py", tmp_path)
    logged = dict(re.findall(r"'(\w+)': ([\d.]+)", out.splitlines()[-1]))
    assert logged.keys() == {"instance_loss", "cld_loss"} and all(float(loss) > 0 for loss in logged.values())
