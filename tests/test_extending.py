"""The worked examples of docs/extending.md, done as it says in a checkout of one's own."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from documents import code_blocks
from PIL import Image

from cld.config import load_run
from cld.data import Split, read_info, write_store
from cld.training.run_id import run_id as run_id_of

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs/extending.md"
SMALL = [
    "queue.size=32",
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
    for name in ("cld", "config", "data_prep", "workflow"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "environment.yml", folder)
    text = GUIDE.read_text()
    blocks = [(block.path, block.text) for block in code_blocks(text) if block.path]
    assert [path for path, _ in blocks] == [
        "config/tables/table_iterations.yaml",
        "config/sources/eth80.yaml",
        "config/datasets/eth80.yaml",
        "config/tables/table_eth80.yaml",
        "cld/methods/ressl.py",
        "cld/methods/__init__.py",
        "config/methods/ressl.yaml",
    ]
    for path, block in blocks:
        if path.endswith("__init__.py"):
            (import_line,) = re.findall(r"`(from cld\.methods\.ressl import \w+)`", text)
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


def cld(checkout, *arguments):
    command = [sys.executable, "-m", "cld", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(("weight", "views"), [("0", 2), ("1.0", 3)])
def test_the_method_of_the_guide_trains_alone_and_with_cld(checkout, weight, views):
    run = ["--preset", "demo", "--dataset", "cifar10", "--method", "ressl"]
    overrides = [*SMALL, f"cld.weight={weight}", "ressl.key_temperature=0.05"]
    done = cld(checkout, "train", *run, "--store", "s.h5", "--run-dir", f"run{weight}", *overrides)
    assert done.returncode == 0, done.stderr
    checkpoint = torch.load(checkout / f"run{weight}/checkpoint.pt", weights_only=True)
    config = checkpoint["config"]
    assert checkpoint["step"] == 8 and config["method"] == "ressl" and config["views"] == views
    assert config["ressl"] == {"key_temperature": 0.05}
    assert all(row["instance_loss"] > 0 for row in checkpoint["rows"])
    assert ("cld_loss" in checkpoint["rows"][0]) == (weight != "0")


@pytest.mark.workflow
def test_the_ablation_of_the_guide_takes_three_files(checkout):
    """Pictures in the layout that it names become a store, and its table plans the runs that it says."""
    images, rng = checkout / "data/eth80", np.random.default_rng(0)
    for split, n in (("train", 4), ("test", 2)):
        for category in ("apple", "car"):
            (images / split / category).mkdir(parents=True)
            for number in range(n):
                pixels = rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(images / split / category / f"{number}.png")

    def snakemake(*arguments):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        done = subprocess.run(
            [*command, "--config", "preset=small"], cwd=checkout, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    snakemake("results/small/stores/eth80.h5")
    info = read_info(checkout / "results/small/stores/eth80.h5")
    assert (info.sizes, info.image_size, info.classes) == ({"train": 8, "test": 4}, 32, ["apple", "car"])
    plan = snakemake("--dry-run", "table_eth80")
    assert re.search(r"^pretrain +30$", plan, re.M) and "30 runs" in GUIDE.read_text()


def test_the_methods_own_sections_are_part_of_its_runs_identity_and_of_no_others(checkout):
    def run_id(method, *overrides):
        run = ["--preset", "demo", "--dataset", "cifar10", "--method", method]
        return cld(checkout, "config", *run, *overrides).stdout.splitlines()[0]

    plain = run_id("ressl")
    assert plain != run_id("ressl", "ressl.key_temperature=0.05")
    assert plain != run_id("ressl", "queue.size=7")
    assert plain == run_id("ressl", "bank.momentum=0.1")
    assert run_id("npid") == f"# {run_id_of(load_run('demo', 'cifar10', 'npid'))}"


@pytest.mark.parametrize(
    ("method", "override", "message"),
    [
        ("resl", None, "config/methods/resl.yaml: no such file; methods that exist: byol, infomin"),
        ("ressl", "ressl.temperature=1", "unknown key 'ressl.temperature'; did you mean 'ressl.key_temp"),
        ("npid", "ressl.key_temperature=1", "unknown key 'ressl'"),
    ],
)
def test_what_does_not_exist_is_one_line(checkout, method, override, message):
    run = ["--preset", "demo", "--dataset", "cifar10", "--method", method]
    done = cld(checkout, "config", *run, *([override] if override else []))
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
