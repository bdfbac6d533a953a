"""The whole pipeline at a tiny scale: from rendered scenes to the table, then changed, forced and killed."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs/extending.md"
CELL = "results/tiny/cells/table_t/4/kmeans.json"


def test_the_table_and_the_figure_are_made(built):
    tables = built.folder / "results/tiny/tables"
    rows = list(csv.DictReader((tables / "table_t.csv").open()))
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
        assert "tiny scale" in (tables / f"table_t.{kind}").read_text()
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


def test_touching_one_cells_setting_rebuilds_that_cell_and_its_table_only(built):
    good = built.table.read_text()
    built.table.write_text(good + "cells:\n  4/kmeans: {cld.n_iters: 2}\n")
    try:
        assert built.planned("all_tables", "all_figures") == {
            "pretrain": 2,
            "evaluate": 2,
            "cell": 1,
            "table": 1,
            "all_tables": 1,
        }
    finally:
        built.table.write_text(good)
    assert "Nothing to be done" in built.make("--dry-run", "all_tables", "all_figures")


def planned_after(checkout, path, change, *targets):
    """What would be made if ``change`` was done to a file of the configuration; it is undone."""
    file = checkout.folder / path
    good = file.read_text()
    file.write_text(change(good))
    try:
        assert file.read_text() != good
        return checkout.planned(*targets)
    finally:
        file.write_text(good)


def test_one_more_seed_trains_that_seed_of_every_run(built):
    more = planned_after(
        built,
        "config/presets/tiny.yaml",
        lambda text: text.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"),
        "all_tables",
    )
    assert more == {"pretrain": 3, "evaluate": 3, "cell": 3, "table": 1, "all_tables": 1}


def test_one_changed_dataset_is_built_and_trained_on_again(built):
    changed = planned_after(
        built,
        "config/presets/tiny.yaml",
        lambda text: text.replace(
            "kitchen_hc: {build: {min_side_px: 4}}", "kitchen_hc: {build: {min_side_px: 5}}"
        ),
        "all_tables",
    )
    assert changed == {
        "store": 1,
        "pretrain": 6,
        "evaluate": 6,
        "evaluate_store": 1,
        "cell": 4,
        "table": 1,
        "all_tables": 1,
    }


def test_a_protocols_setting_scores_again_and_trains_nothing(built):
    scored = planned_after(
        built,
        "config/presets/tiny.yaml",
        lambda text: text.replace("  knn: {k: 5}", "  knn: {k: 6}", 1),
        "all_tables",
    )
    assert scored == {"evaluate": 6, "cell": 3, "table": 1, "all_tables": 1}


def test_the_guides_table_is_made_from_its_file_alone(built):
    guide = GUIDE.read_text(encoding="utf-8")
    section = guide[guide.index("## A table of your own") : guide.index("## A base method of your own")]
    name = re.search(r"config/tables/(table_\w+)\.yaml", section)[1]
    text = re.search(r"```yaml\n(.*?)```", section, re.S)[1].replace("seeds: [0, 1]", "seeds: [0]")
    file = built.folder / f"config/tables/{name}.yaml"
    file.write_text(text)
    try:
        assert built.planned("all_tables") == {
            "pretrain": 4,  # table_t has NPID alone with this seed
            "evaluate": 4,
            "cell": 6,
            "table": 1,
            "all_tables": 1,
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
    assert (built.folder / "results/tiny/tables_now/table_t.md").exists()
    assert "Nothing to be done" in built.make("all_tables")


def test_snakemakes_own_report_has_the_table_and_the_figure_with_captions(built):
    built.make("--report", "report.html", "all_tables", "all_figures")
    report = (built.folder / "report.html").read_text()
    for name in ("table_t.html", "table_t.png", "fig_a1.png"):
        assert name in report
    for caption in ("Two group numbers.", "Samples of multi-view RGB-D dataset Kitchen", "tiny</strong>"):
        assert caption in report
    assert report.count("no reproduction of what is published") >= 2
    (built.folder / "report.html").unlink()


def test_a_caption_rebuilds_the_table_and_trains_nothing(built):
    good = built.table.read_text()
    built.table.write_text(good.replace("Two group numbers.", "Two numbers of groups."))
    try:
        assert built.planned("all_tables") == {"table": 1, "all_tables": 1}
    finally:
        built.table.write_text(good)


def test_one_cell_can_be_made_afresh_and_the_table_follows(built):
    before = (built.folder / CELL).stat().st_mtime
    forced = built.make("--forcerun", "pretrain", "--", CELL)
    assert "pretrain         2" in " ".join(forced.splitlines()) or forced.count("rule pretrain:") == 2
    assert (built.folder / CELL).stat().st_mtime > before
    assert built.planned("all_tables") == {"table": 1, "all_tables": 1}
    built.make("all_tables")


def test_a_killed_training_goes_on_where_it_was(built):
    """Kill Snakemake and its job with SIGKILL, start again: the run resumes from its partial checkpoint."""
    good = built.table.read_text()
    settings = "{optimiser.epochs: 40, checkpoint_every_s: 0.1}"
    built.table.write_text(good.replace("seeds:", "") + f"seeds: [0]\ncells:\n  4/kmeans: {settings}\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", CELL]
    try:
        running = subprocess.Popen(
            command,
            cwd=built.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        runs = built.folder / "results/tiny/runs"
        give_up = time.monotonic() + 120
        while not list(runs.glob("*/partial.pt")):
            assert running.poll() is None, "training ended before it could be killed"
            assert time.monotonic() < give_up
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        (partial,) = runs.glob("*/partial.pt")
        built.make("--unlock")
        built.make(CELL)
        run = partial.parent
        assert not partial.exists() and (run / "checkpoint.pt").exists()
        log = built.folder / f"results/tiny/logs/pretrain/{run.name}.log"
        assert "resumed from step" in log.read_text()
    finally:
        built.table.write_text(good)
