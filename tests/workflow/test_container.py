"""Jobs in a container: a stand-in for its engine notes how it is called, and runs the command outside."""

import os
import re
import shlex
from collections import Counter

import pytest
from checkouts import edited

CELL = "results/tiny/cells/table_a1/5/kmeans.json"
ENGINE = """\
#!/bin/sh
[ "$1" = --version ] && exec echo apptainer version 1.3.4
echo "$@" >>"{notes}"
while [ "$1" != "{image}" ]; do shift; done
shift
exec "$@"
"""


@pytest.fixture
def image(tmp_path, monkeypatch):
    """An image, and an engine for it; what the engine was asked lies in ``notes`` beside it."""
    image = tmp_path / "cld.sif"
    image.touch()
    engine = tmp_path / "bin/apptainer"
    engine.parent.mkdir()
    engine.write_text(ENGINE.format(notes=tmp_path / "notes", image=image))
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}:{os.environ['PATH']}")
    return image


def in_container(image):
    return ("--software-deployment-method", "apptainer", "--config", f"container={image}")


def test_a_container_makes_nothing_again(built, image):
    assert built.planned("all_tables", "all_figures", *in_container(image)) == {}
    assert built.planned("all_tables", "all_figures", "--config", f"container={image}") == {}


def test_every_job_runs_inside_and_what_starts_a_training_outside(built, image):
    """A launcher may need what is not in the container, as Slurm's commands."""
    row = '  - {key: "5", set: {cld.n_groups: 5, optimiser.parts: 2}}\ncolumns:'
    forced = ("--forcerun", "generate", "--apptainer-args=--nv --bind /some")
    with edited(built.table, "columns:", row):
        built.make(*forced, *in_container(image), "gpus=2", "--", CELL)
    built.make("all_tables", "all_figures")  # of the scenes that were generated again
    calls = [shlex.split(line) for line in (image.parent / "notes").read_text().splitlines()]
    commands = re.findall(r"-m (?:cld\.runtime\.warm|data_prep) (\w+)", "\n".join(map(" ".join, calls)))
    assert Counter(commands) == {"generate": 1, "build": 1, "train": 4, "evaluate": 2, "cell": 1}
    assert "torchrun" not in (image.parent / "notes").read_text()
    for call in calls:
        before = call[: call.index(str(image))]
        assert "exec" in before and "--nv --bind /some" in " ".join(before)
        assert before[before.index("--home") + 1] == str(built.folder)
    assert (built.folder / CELL).exists()


def test_a_missing_image_is_one_line(checkout, image):
    image.unlink()
    done = checkout.snakemake("--dry-run", "all_tables", *in_container(image))
    assert done.returncode == 1
    assert (
        f"error: config/config.yaml: container: {image}: no such file; build it (docs/cluster.md"
        in done.stdout
    )
    assert "Traceback" not in done.stdout
