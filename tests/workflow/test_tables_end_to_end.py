"""The whole pipeline at a tiny scale: from rendered scenes to the table, then changed, forced and killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from checkouts import Checkout, edited
from documents import code_blocks

from cld.training.loop import train

GUIDE = Path(__file__).parents[2] / "docs/extending.md"
CELL = "results/tiny/cells/table_a1/4/kmeans.json"


def test_the_table_and_the_figure_are_made(built):
    tables = built.folder / "results/tiny/tables"
    rows = list(csv.DictReader((tables / "table_a1.csv").open()))
    assert [(row["row"], row["column"]) for row in rows] == [
        ("4", "kmeans"),
        ("8", "kmeans"),
        ("reference", "npid"),
        ("reference", "chance"),
    ]
    for row in rows:
        assert 0 <= float(row["value"]) <= 100
        cell = json.loads((built.folder / row["cell"]).read_text())
        assert cell["value"] == float(row["value"])
    assert rows[0]["published"] == "50.0" and rows[0]["n_seeds"] == "2"
    for kind in ("md", "tex", "html"):
        assert "tiny scale" in (tables / f"table_a1.{kind}").read_text()
    for kind, magic in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        assert (built.folder / f"results/tiny/figures/fig_a1.{kind}").read_bytes().startswith(magic)


def test_a_score_carries_where_it_comes_from(built):
    cell = json.loads((built.folder / CELL).read_text())
    assert cell["configuration"]["cld"]["n_groups"] == 4
    assert [score["seed"] for score in cell["scores"]] == [0, 1]
    for score in cell["scores"]:
        assert {"code", "libraries", "data_checksum", "wall_time_s", "device"} <= set(score["provenance"])


def test_a_second_run_finds_nothing_to_do(built):
    assert "Nothing to be done" in built.make("all_tables", "all_figures")
    assert built.planned("supplement") == {"supplement": 1}


def test_jobs_run_the_interpreter_of_snakemake(built):
    """Also where no environment is activated: /usr/bin has no python, or another."""
    card = "results/tiny/stores/kitchen_hc.card.md"
    (built.folder / card).unlink()
    command = [sys.executable, "-m", "snakemake", "--cores", "1", card]
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=built.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (built.folder / card).exists()


KNN = "  knn: {k: 5}\n"
ALL = {"pretrain": 6, "evaluate": 6, "evaluate_store": 1, "cell": 4, "table": 1, "all_tables": 1}


@pytest.mark.parametrize(
    ("file", "old", "new", "planned"),
    [
        pytest.param(
            *("table", "published:", "cells:\n  4/kmeans: {cld.n_iters: 2}\npublished:"),
            {"pretrain": 2, "evaluate": 2, "cell": 1, "table": 1, "all_tables": 1},
            id="one cell",
        ),
        pytest.param(
            *("preset", "seeds: [0, 1]", "seeds: [0, 1, 2]"),
            {"pretrain": 3, "evaluate": 3, "cell": 3, "table": 1, "all_tables": 1},
            id="one more seed",
        ),
        pytest.param("preset", "min_side_px: 4", "min_side_px: 5", {"store": 1, **ALL}, id="the dataset"),
        pytest.param(
            *("preset", KNN, KNN.replace("5", "6")),
            {"evaluate": 6, "cell": 3, "table": 1, "all_tables": 1},
            id="the protocol",
        ),
        pytest.param("table", "Two group", "2 group", {"table": 1, "all_tables": 1}, id="the caption"),
    ],
)
def test_a_changed_setting_rebuilds_exactly_what_depends_on_it(built, file, old, new, planned):
    with edited(getattr(built, file), old, new):
        assert built.planned("all_tables") == planned


def test_the_guides_table_is_made_from_its_file_alone(built):
    name = "table_iterations"
    file = built.folder / f"config/tables/{name}.yaml"
    guide = {block.path: block.text for block in code_blocks(GUIDE.read_text(encoding="utf-8"))}
    file.write_text(guide[f"config/tables/{name}.yaml"].replace("seeds: [0, 1]", "seeds: [0]"))
    try:
        assert built.planned("all_tables") == {}
        assert built.planned(name) == {
            "pretrain": 4,  # table_a1 has NPID alone with this seed
            "evaluate": 4,
            "cell": 6,
            "table": 1,
            name: 1,
        }
        built.make(f"results/tiny/tables/{name}.html")
        rows = list(csv.DictReader((built.folder / f"results/tiny/tables/{name}.csv").open()))
        assert {(row["row"], row["column"]) for row in rows} == {
            *((n, method) for n in "15" for method in ("npid", "moco")),
            ("reference", "npid"),
            ("reference", "chance"),
        }
        assert all(0 <= float(row["value"]) <= 100 for row in rows)
    finally:
        file.unlink()


def test_commands_that_look_read_what_was_made(built):
    for command in (["tables", "--now"], ["page", "--now"], ["status"], ["plan"]):
        done = built.cld(*command, "--preset", "tiny")
        assert done.returncode == 0, done.stderr
    page = (built.folder / "results/tiny/index.html").read_text()
    assert "Table T" in page and "tiny scale" in page
    assert (built.folder / "results/tiny/tables_now/table_a1.md").exists()
    assert "Nothing to be done" in built.make("all_tables")


def test_snakemakes_own_report_has_the_table_and_the_figure_with_captions(built):
    built.make("--report", "report.html", "all_tables", "all_figures")
    report = (built.folder / "report.html").read_text()
    for name in ("table_a1.html", "table_a1.png", "fig_a1.png"):
        assert name in report
    for caption in ("Two group numbers.", "Samples of multi-view RGB-D dataset Kitchen", "tiny</strong>"):
        assert caption in report
    assert report.count("no reproduction of what is published") >= 2
    (built.folder / "report.html").unlink()


def test_a_killed_training_resumes_and_one_completed_meanwhile_is_kept(built):
    """Kill Snakemake and its job with SIGKILL; one run is completed without Snakemake. Start it again."""
    row = '  - {key: "6", set: {cld.n_groups: 6, optimiser.epochs: 40, checkpoint_every_s: 0.1}}\n'
    cell = CELL.replace("/4/", "/6/")
    runs = built.folder / "results/tiny/runs"
    known = set(runs.iterdir())
    with edited(built.table, "columns:", f"{row}columns:"):
        running = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2", cell],
            cwd=built.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        give_up = time.monotonic() + 300
        while len(list(runs.glob("*/config.yaml"))) < len(known) + 2 or not list(runs.glob("*/partial.pt")):
            assert running.poll() is None, "training ended before it could be killed"
            assert time.monotonic() < give_up
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        killed = next(runs.glob("*/partial.pt")).parent
        (completed,) = set(runs.iterdir()) - known - {killed}
        config = yaml.safe_load((completed / "config.yaml").read_text())
        train(config, built.folder / "results/tiny/stores/kitchen_hc.h5", completed, "cpu")
        built.make("--unlock")
        built.make(cell)
    assert not list(runs.glob("*/partial.pt"))
    logs = [
        (built.folder / f"results/tiny/logs/pretrain/{run.name}.log").read_text()
        for run in (killed, completed)
    ]
    assert "resumed from step" in logs[0]
    assert "resumed" not in logs[1] and "begins" not in logs[1]


def test_packed_results_are_rendered_without_data(built, tmp_path):
    """In a fresh checkout: tables again, figures of images as they were, and no job but the table's."""
    archive = tmp_path / "tiny.tar.gz"
    done = built.cld("pack", "--preset", "tiny", "--out", str(archive))
    assert done.returncode == 0 and "missing" not in done.stdout, done
    (tmp_path / "other").mkdir()
    other = Checkout(tmp_path / "other")
    done = other.cld("unpack", str(archive))
    assert done.returncode == 0 and "differ" not in done.stdout, done
    assert "all_tables all_figures --config preset=tiny" in done.stdout
    targets = ("all_tables", "all_figures")
    assert other.planned(*targets) == {"table": 1, "all_tables": 1}
    other.make(*targets)
    for name in ("tables/table_a1.csv", "tables/table_a1.png", "figures/fig_a1.png"):
        ours, theirs = (checkout.folder / "results/tiny" / name for checkout in (built, other))
        assert ours.read_bytes() == theirs.read_bytes()
    assert not list((other.folder / "results").rglob("*.pt"))
    assert "Nothing to be done" in other.make(*targets)
    done = other.cld("page", "--now", "--preset", "tiny")
    assert done.returncode == 0, done.stderr
