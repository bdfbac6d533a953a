"""Jobs in a container: a stand-in for its engine notes how it is called, and runs the command outside."""

import os
import re
import shlex

import pytest

CELL = "results/tiny/cells/table_t/4/kmeans.json"
ENGINE = """\
#!/bin/sh
[ "$1" = --version ] && exec echo apptainer version 1.3.4
echo "$@" >>"{notes}"
while [ "$1" != "{image}" ]; do shift; done
shift
CLD_TESTS_INSIDE=1 exec "$@"
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


def test_a_container_changes_no_other_plan(checkout, image):
    plan = checkout.planned("all_tables")
    assert plan == checkout.planned("all_tables", *in_container(image))
    assert plan["pretrain"] == 6


def test_every_job_runs_inside(own_checkout, image):
    own_checkout.make(CELL, *in_container(image), "--apptainer-args=--nv --bind /some")
    calls = [shlex.split(line) for line in (image.parent / "notes").read_text().splitlines()]
    modules = re.findall(r"-m (?:cld\.warm )?(\S+)", "\n".join(map(" ".join, calls)))
    assert {name: modules.count(name) for name in modules} == {
        "data_prep.synthetic.generate_command": 1,
        "data_prep.kitchen.build_from_scenes": 1,
        "cld.training": 2,
        "cld.evaluation": 2,
        "cld.reporting.tables.cell": 1,
    }
    for call in calls:
        before = call[: call.index(str(image))]
        assert "exec" in before and "--nv --bind /some" in " ".join(before)
        assert before[before.index("--home") + 1] == str(own_checkout.folder)
    assert (own_checkout.folder / CELL).exists()


def test_what_starts_a_training_stays_outside_and_each_of_its_processes_goes_inside(own_checkout, image):
    """A launcher may need what is not in the container, as Slurm's commands."""
    own_checkout.table.write_text(own_checkout.table.read_text() + "set: {optimiser.parts: 2}\n")
    own_checkout.make(CELL.replace("/4/", "/8/"), *in_container(image), "gpus=2")
    calls = (image.parent / "notes").read_text()
    trainings = re.findall(r"^exec .* python -m cld\.warm cld\.training ", calls, re.M)
    assert len(trainings) == 4  # two seeds, two processes
    assert "torchrun" not in calls


def test_a_missing_image_is_one_line(checkout, image):
    image.unlink()
    done = checkout.snakemake("--dry-run", "all_tables", *in_container(image))
    assert done.returncode == 1
    assert (
        f"error: config/config.yaml: container: {image}: no such file; build it (docs/cluster.md"
        in done.stdout
    )
    assert "Traceback" not in done.stdout
