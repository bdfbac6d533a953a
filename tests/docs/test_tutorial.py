"""The tutorial is carried out: its files are written, its commands run, and it says what comes of them."""

import os
import re
import subprocess
import sys

import pytest
from checkouts import edited_yaml
from documents import ROOT, code_blocks, copy_project

from cld.runtime.files import read_json


def run(folder, text):
    """Carry out lines of shell; what they print."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = ["bash", "-c", f"{IN_SMALL}\n{text}"]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=-1, stderr=-2, text=True)
    assert done.returncode == 0, f"{text}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    """Who types the tutorial: in a repository of their own, with a demo of fewer frames, epochs and rows."""
    folder = copy_project(tmp_path_factory.mktemp("tutorial"))
    with edited_yaml(folder / "config/presets/demo.yaml") as preset:
        preset["sources"]["gmu_kitchens"]["generate"]["frames_per_scene"] = 8
        preset["run"]["optimiser"] |= {"epochs": 1, "warmup_epochs": 0}
    with edited_yaml(folder / "config/tables/table_a1.yaml") as table:
        table["rows"] = [row for row in table["rows"] if row["key"] == "10"]
        table["published"] = {"10": table["published"]["10"]}
        del table["claims"], table["presets"]["demo"]["rows"]
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").write_text("")
    identity = ["-c", "user.name=Learner", "-c", "user.email=learner@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "The project"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


#: What a test cannot do is done in small: the environment is that of the tests; the demo is one table and the
#: pictures of one more source; there is no Slurm.
IN_SMALL = f"""
set -eu
python() {{ "{sys.executable}" "$@"; }}
cld() {{ python -m cld "$@"; }}
snakemake() {{
    case "$*" in *"--profile slurm"*) set -- --dry-run "$@" ;; esac
    python -m snakemake "$@"
}}
make() {{
    [ "$(command make --no-print-directory --dry-run CORES=2 "$@" | tail -n 1)" = "snakemake --cores 2" ]
    snakemake --cores 2 table_a1 results/demo/data/imagenet
}}
"""


@pytest.mark.workflow
def test_the_tutorial_is_what_happens(learner):
    """Its files are written and its commands run, in order; what it says of the results holds."""
    printed = {}
    for block in code_blocks((ROOT / "docs/tutorial.md").read_text()):
        if block.path:
            (learner / block.path).write_text(block.text)
        elif block.language == "sh":
            printed[block.text.splitlines()[-1]] = run(learner, block.text)
    results = learner / "results/demo"
    assert "Nothing to be done" in printed["snakemake --cores 2 results/demo/cells/table_a1/10/kmeans.json"]
    planned = printed["snakemake --cores 2 --dry-run table_a1"].partition("Job stats:")[2]
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", planned, re.M))
    assert jobs == {
        "pretrain": "2",
        "evaluate": "2",
        "cell": "1",
        "table": "1",
        "table_a1": "1",
        "total": "7",
    }
    assert (results / "tables/table_temperature.md").read_text().count("not tested") == 1
    assert (results / "tables/table_folder.csv").exists() and (results / "stores/folder.card.png").exists()
    difference = printed["cld compare --a mine/alone/knn.json --b mine/with_cld/knn.json"]
    assert "top1" in difference
    imported = read_json(results / "runs/imported-simsiam/import.json", "")
    assert imported["layout"] == "torchvision"
    score = read_json(results / "scores/imported-simsiam/knn.json", "")
    assert score["metrics"]["top1"] > 0
