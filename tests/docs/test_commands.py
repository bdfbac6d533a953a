"""Every command of README and documentation: those of the tutorial are carried out, the others looked at."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from documents import code_blocks

from cld.__main__ import COMMANDS
from cld.runtime.files import read_json

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PAGES = sorted([ROOT / "README.md", ROOT / "config/README.md", *ROOT.glob("docs/*.md")])
SHELL = [
    pytest.param(page, block.text, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    if page.name != "tutorial.md"
    for number, block in enumerate(code_blocks(page.read_text()))
    if block.language == "sh"
]


def project(folder: Path) -> Path:
    """A checkout of one's own, with the files that docs/extending.md tells to write."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def run(folder, preamble, text):
    """Carry out lines of shell; what they print."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "EDITOR": "true"}
    script = f"{preamble}\n{text}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, stdout=-1, stderr=-2, text=True
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    folder = project(tmp_path_factory.mktemp("project"))
    for block in code_blocks((folder / "docs/extending.md").read_text()):
        if block.path and block.path.startswith("config/"):
            (folder / block.path).write_text(block.text)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").write_text("")
    images = folder / "images"
    for name in ("train/a/1.png", "test/a/1.png"):
        (images / name).parent.mkdir(parents=True)
        (images / name).write_bytes(b"")
    config = folder / "config/config.yaml"
    config.write_text(config.read_text().replace("paths: {}", "paths: {eth80: images}"))
    return folder


@pytest.mark.workflow
@pytest.mark.parametrize(("page", "text"), SHELL)
def test_the_commands_of_a_page_exist(untouched, page, text):
    preamble = f"set -- {sys.executable} {HERE / 'parse_only.py'}\n" + (HERE / "dry_run.sh").read_text()
    config = untouched / "config/config.yaml"
    before = config.read_text()
    try:
        run(untouched, preamble, text.replace("/home/me/photos", "images/train"))
    finally:
        config.write_text(before)


def test_the_list_of_commands_is_complete():
    text = (ROOT / "docs/commands.md").read_text()
    assert set(re.findall(r"^\| `cld ([\w-]+)` \|", text, re.M)) == set(COMMANDS)
    targets = {target for line in re.findall(r"^\| (`make .*?) \|", text, re.M) for target in line.split("`")}
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1]
    assert {f"make {name}" for name in phony.split()} <= targets


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    """Who types the tutorial: in a repository of their own, with a demo of fewer frames and epochs."""
    folder = project(tmp_path_factory.mktemp("tutorial"))
    preset = folder / "config/presets/demo.yaml"
    settings = yaml.safe_load(preset.read_text())
    settings["sources"]["gmu_kitchens"]["generate"]["frames_per_scene"] = 8
    settings["run"]["optimiser"] |= {"epochs": 1, "warmup_epochs": 0}
    preset.write_text(yaml.safe_dump(settings))
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").write_text("")
    identity = ["-c", "user.name=Learner", "-c", "user.email=learner@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "The project"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


#: What a test cannot do is done in small: the environment is that of the tests; the demo is one table and one
#: more store; there is no Slurm.
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
    snakemake --cores 2 table_a1 results/demo/stores/imagenet.h5
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
            printed[block.text.splitlines()[-1]] = run(learner, IN_SMALL, block.text)
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
