"""What the workflow would do, from dry runs: nothing is computed here."""

import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import edited

ROOT = Path(__file__).parents[2]


def test_one_cell_needs_its_own_runs_only(checkout):
    assert checkout.planned("results/tiny/cells/table_t/4/kmeans.json") == {
        "generate": 1,
        "store": 1,
        "pretrain": 2,
        "evaluate": 2,
        "cell": 1,
    }


def test_all_tables_needs_every_run_once(checkout):
    assert checkout.planned("all_tables") == {
        "generate": 1,
        "store": 1,
        "pretrain": 6,
        "evaluate": 6,
        "evaluate_store": 1,
        "cell": 4,
        "table": 1,
        "all_tables": 1,
    }


def test_the_preset_is_named_by_the_path(checkout):
    planned = checkout.planned("results/paper/cells/table_t/4/kmeans.json")
    assert planned == {"fetch": 1, "store": 1, "pretrain": 3, "evaluate": 3, "cell": 1}


@pytest.mark.parametrize(
    ("preset", "arguments"), [("demo", ["--cores", "2"]), ("paper", ["--profile", "slurm"])]
)
def test_the_two_commands_of_the_readme_plan_table_a1(preset, arguments):
    options = ["--dry-run", "--forceall", "--nolock", *arguments, "all_tables"]
    command = [sys.executable, "-m", "snakemake", *options]
    plan = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert plan.returncode == 0, plan.stdout + plan.stderr
    cells = {
        f"results/{preset}/cells/table_a1/{n}/{c}.json"
        for n in (10, 64, 128, 256)
        for c in ("kmeans", "spectral")
    }
    assert all(cell in plan.stdout for cell in cells)
    assert ("rule generate:" in plan.stdout) == (preset == "demo")
    assert ("rule fetch:" in plan.stdout) == (preset == "paper")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config/config.yaml", "results:", "result:", "error: config/config.yaml: unknown key 'result'"),
        (
            "config/tables/table_t.yaml",
            "cld.n_groups: 4",
            "cld.n_groups: 40",
            "4/kmeans: cld.n_groups 40 exceeds",
        ),
        ("config/tables/table_t.yaml", "cld.n_groups: 4", "cld.groups: 4", "did you mean 'cld.n_groups'?"),
        ("config/presets/tiny.yaml", "epochs: 2", "epochs: -2", "optimiser.epochs: -2"),
        ("config/presets/tiny.yaml", "min_side_px: 4", "min_side_p: 4", "did you mean 'min_side_px'?"),
        ("config/presets/tiny.yaml", "frames_per_scene: 8", "frames: 8", "unknown key 'frames'"),
    ],
)
def test_a_mistake_is_one_line_before_any_job(checkout, file, old, new, message):
    with edited(checkout.folder / file, old, new):
        failed = checkout.snakemake("--dry-run", "all_tables")
    assert failed.returncode != 0
    (line,) = [line for line in failed.stdout.splitlines() if "error" in line.lower()]
    assert message in line
    assert "Traceback" not in failed.stdout
