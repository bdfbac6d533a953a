"""``snakemake --profile slurm all_tables`` makes Tables A.1 to A.4, which the supplement prints, alone."""

import csv
import json
import os
import re
import shutil
import signal
from collections import Counter

import pytest
import yaml
from checkouts import ROOT, edited_yaml
from slurm_checkout import SlurmCheckout
from slurm_cluster import NODES

SUPPLEMENT = ("table_a1", "table_a2", "table_a3", "table_a4")
KINDS = ("csv", "md", "tex", "html", "png")
BASELINES = ("pixel_knn", "chance")
TIMEOUT_S = 1800

#: What all runs of a table set here, so that they are one for each dataset and method. A run is two jobs, and
#: a job two starts of Snakemake. That each cell asks for its own run is tested without Slurm.
SETTINGS = {
    "table_a1": {"cld.n_groups": 8},
    "table_a2": {"cld.weight": 1.0, "cld.subspace": "separate", "cld.cross_augmentation": True},
    "table_a3": {"cld.weight": 0.25},
    "table_a4": {"temperature": 0.2, "cld.temperature": 0.2},
}


def spec_of(table: str) -> dict:
    """The project's own file of a table."""
    return yaml.safe_load((ROOT / f"config/tables/{table}.yaml").read_text())


def override_sizes(checkout: SlurmCheckout) -> None:
    """Have the project's own tables take seconds of computing."""
    with edited_yaml(checkout.preset) as preset:
        preset["run"]["optimiser"] |= {"epochs": 1, "warmup_epochs": 0}
        preset["run"]["image_size"] = 24
        preset["run"]["backbone"]["name"] = "resnet18"
        preset["run"]["bank"] = {"negatives": None}
        preset["run"]["queue"] = {"size": 32}
        preset["evaluation"]["linear_published"] = {"batch_size": 32, "epochs": 1, "milestones": []}
    for name, same in SETTINGS.items():
        with edited_yaml(checkout.folder / f"config/tables/{name}.yaml") as table:
            for entry in (*table["rows"], *table["columns"], *table["references"]):
                if entry.get("protocol") not in BASELINES:
                    entry["set"] = same


@pytest.fixture(scope="module")
def made(cluster, tmp_path_factory):
    """A checkout with all table files of the project, in which Slurm's jobs made all_tables."""
    checkout = SlurmCheckout(tmp_path_factory.mktemp("all_tables"))
    shutil.copytree(ROOT / "config/tables", checkout.folder / "config/tables", dirs_exist_ok=True)
    override_sizes(checkout)
    baselines = [
        f"results/tiny/cells/{table}/reference/{reference['key']}.json"
        for table in SUPPLEMENT
        for reference in spec_of(table)["references"]
        if reference.get("protocol") in BASELINES
    ]
    checkout.make(*baselines)  # what needs no run, stores among it, is made sooner without Slurm
    snakemake = checkout.start("all_tables")
    try:
        assert snakemake.wait(TIMEOUT_S) == 0, checkout.output.read_text()
    finally:
        if snakemake.poll() is None:
            os.killpg(snakemake.pid, signal.SIGKILL)
            snakemake.wait()
        cluster.command("scancel", "--user=root", check=False)
    return checkout


def test_the_supplements_tables_are_made_and_nothing_else(made):
    config = {path.stem for path in (made.folder / "config/tables").iterdir()}
    assert {*SUPPLEMENT, "table_folder", "table_methods", "table_negatives"} <= config
    files = {path.name for path in (made.results / "tables").iterdir()}
    assert files == {f"{table}.{kind}" for table in SUPPLEMENT for kind in KINDS}
    assert {path.name for path in (made.results / "cells").iterdir()} == set(SUPPLEMENT)
    cells = [json.loads(path.read_text()) for path in (made.results / "cells").rglob("*.json")]
    shown = {score["run"] for cell in cells for score in cell["scores"] if score["run"]}
    assert {path.name for path in (made.results / "runs").iterdir()} == shown
    assert not (made.results / "figures").exists()


@pytest.mark.parametrize("table", SUPPLEMENT)
def test_every_row_and_column_has_a_number(made, table):
    spec = spec_of(table)
    keys = {(row["key"], column["key"]) for row in spec["rows"] for column in spec["columns"]}
    keys |= {("reference", reference["key"]) for reference in spec["references"]}
    rows = list(csv.DictReader((made.results / f"tables/{table}.csv").open()))
    assert len(rows) == len(keys) and {(row["row"], row["column"]) for row in rows} == keys
    for row in rows:
        assert 0 <= float(row["value"]) <= 100


def test_each_run_score_and_table_was_a_job_of_slurms(cluster, made):
    jobs = [job for job in cluster.jobs(folder=str(made.folder)) if job["state"] == "COMPLETED"]
    assert {job["node"] for job in jobs} == set(NODES)
    kind = re.compile("rule_(pretrain|linear_published|scores|cells|table)")  # scores, cells: groups of jobs
    done = Counter(kind.match(job["comment"])[1] for job in jobs)
    n_runs = len(list((made.results / "runs").iterdir()))
    assert done["pretrain"] == done["scores"] + done["linear_published"] == n_runs
    assert done["scores"] and done["linear_published"]
    assert done["cells"] == done["table"] == len(SUPPLEMENT)
