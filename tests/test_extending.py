"""The worked example of docs/extending.md, done as it says in a checkout of one's own."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cld.data import Split, write_store

ROOT = Path(__file__).parents[1]
SMALL = [
    "backbone.width=4",
    "head.dim=16",
    "head.hidden=16",
    "optimiser.epochs=2",
    "optimiser.batch_size=16",
    "cld.n_groups=4",
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The project with the guide's files in it, and a small store beside it."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("cld", "config", "workflow"):
        shutil.copytree(ROOT / name, folder / name)
    text = (ROOT / "docs/extending.md").read_text()
    blocks = re.findall(r"`([\w/.]+)`:\n\n```\w+\n(.*?)```", text, re.S)
    assert [path for path, _ in blocks] == [
        "cld/methods/simsiam.py",
        "cld/methods/__init__.py",
        "config/methods/simsiam.yaml",
    ]
    for path, block in blocks:
        if path.endswith("__init__.py"):
            (import_line,) = re.findall(r"`(from cld\.methods\.simsiam import \w+)`", text)
            file = folder / path
            file.write_text(file.read_text() + f"\n{import_line}\n{block}")
        else:
            (folder / path).write_text(block)
    rng = np.random.default_rng(0)
    splits = {
        name: Split(rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8), rng.integers(0, 3, n))
        for name, n in (("train", 64), ("test", 8))
    }
    facts = {"dataset": "cifar10", "preset": "demo", "classes": ["a", "b", "c"], "sources": {}, "config": {}}
    write_store(folder / "s.h5", splits, **facts)
    return folder


@pytest.mark.parametrize("weight", ["0", "1.0"])
def test_the_method_of_the_guide_trains_alone_and_with_cld(checkout, weight):
    command = [sys.executable, "-m", "cld", "train", "--preset", "demo", "--dataset", "cifar10"]
    command += [
        "--method",
        "simsiam",
        "--store",
        "s.h5",
        "--run-dir",
        f"run{weight}",
        *SMALL,
        f"cld.weight={weight}",
    ]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    checkpoint = torch.load(checkout / f"run{weight}/checkpoint.pt", weights_only=True)
    assert checkpoint["step"] == 8 and checkpoint["config"]["method"] == "simsiam"
    assert all(-1 <= row["instance_loss"] <= 1 for row in checkpoint["rows"])
    assert ("cld_loss" in checkpoint["rows"][0]) == (weight != "0")


def test_a_method_that_has_no_file_is_told_with_those_that_have(checkout):
    command = [
        sys.executable,
        "-m",
        "cld",
        "config",
        "--preset",
        "demo",
        "--dataset",
        "cifar10",
        "--method",
        "simsam",
    ]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 2 and "config/methods/simsam.yaml: no such file" in done.stderr
    assert "simsiam" in done.stderr and "byol" in done.stderr
