"""What the workflow would do, from dry runs: nothing is computed here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import edited

from cld.config import load_preset

ROOT = Path(__file__).parents[2]


def test_one_cell_needs_its_own_runs_only(checkout):
    assert checkout.planned("results/tiny/cells/table_a1/4/kmeans.json") == {
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
    planned = checkout.planned("results/paper/cells/table_a1/4/kmeans.json")
    assert planned == {"fetch": 1, "store": 1, "pretrain": 3, "evaluate": 3, "cell": 1}


def dry_run(*arguments):
    """What a run of the workflow, in the project itself, would do."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--nolock", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("preset", ["demo", "small", "paper"])
def test_all_tables_and_all_figures_make_what_the_supplement_prints_alone(preset):
    plan = dry_run("--cores", "2", "--config", f"preset={preset}", "--", "all_tables", "all_figures")
    tables = set(re.findall(rf"results/{preset}/tables/(table_\w+)\.csv", plan))
    figures = set(re.findall(rf"results/{preset}/figures/(fig_\w+)\.png", plan))
    if preset == "small":
        assert tables == {"table_a2", "table_a4", "table_negatives"} and figures == {"fig_a2"}
        assert "imagenet100" not in plan.partition("Building DAG")[2]
    else:
        assert tables == {"table_a1", "table_a2", "table_a3", "table_a4", "table_negatives"}
        assert figures == {"fig_a1", "fig_a2", "fig_a3"}


def test_other_tables_have_a_target_each_and_everything_is_the_default(checkout):
    other = checkout.folder / "config/tables/table_other.yaml"
    other.write_text(checkout.table.read_text().replace("cld.n_groups: 8", "cld.n_groups: 6"))
    try:
        assert checkout.planned("all_tables")["table"] == checkout.planned("table_a1")["table"] == 1
        only = checkout.planned("table_other")
        assert only["table"] == 1 and only["table_other"] == 1 and only["cell"] == 4
        whole = checkout.planned("everything")
        assert whole["table"] == 2 and whole["card"] == 11 and whole["index"] == whole["figure_a1"] == 1
        assert checkout.planned() == whole
    finally:
        other.unlink()


def test_what_is_cheap_is_started_first(checkout):
    plan = checkout.make("--dry-run", "all_tables")
    for rule in ("generate", "store", "pretrain", "evaluate", "evaluate_store", "cell", "table"):
        jobs = re.findall(rf"^rule {rule}:\n((?:    .*\n)+)", plan, re.M)
        assert jobs and all(re.search(r"^    priority: \d+$", job, re.M) for job in jobs)


@pytest.mark.parametrize(
    ("arguments", "preset", "results"),
    [
        (["--cores", "2"], "demo", "results"),
        (["--profile", "slurm"], "paper", "results"),
        (["--profile", "slurm", "--config", "gpus=2", "results=elsewhere"], "paper", "elsewhere"),
        (["--profile", "slurm", "--config", "preset=demo"], "demo", "results"),
    ],
)
def test_the_commands_of_the_readme_plan_table_a1_at_the_preset_that_is_printed_first(
    arguments, preset, results
):
    """Other settings of the command line do not change the preset."""
    plan = dry_run(*arguments, "--", "table_a1")
    line = f"preset {preset}: {load_preset(preset)['title']}; results in {results}/{preset}"
    assert plan.count(line) == 1 and line in plan.partition("Building DAG")[0]
    assert f"output: {results}/{preset}/stores/kitchen_hc.h5" in plan
    cells = {f"{n}/{column}" for n in (10, 64, 128, 256) for column in ("kmeans", "spectral")}
    assert all(f"{results}/{preset}/cells/table_a1/{cell}.json" in plan for cell in cells)
    assert ("rule generate:" in plan) == (preset == "demo")
    assert ("rule fetch:" in plan) == (preset == "paper")


def test_a_request_of_the_command_line_leaves_the_others_of_a_cluster():
    plan = dry_run("--profile", "slurm", "--set-resources", "pretrain:gpu=0", "--", "table_a1")

    def asked(rule):
        return re.search(rf"^ *rule {rule}:\n(?: +.*\n)*? +resources: (.*)$", plan, re.M)[1]

    assert "gpu=0" in asked("pretrain") and "mem_mb=16000" in asked("pretrain")
    assert "runtime=720" in asked("pretrain") and "slurm_extra=--signal=URG@120" in asked("pretrain")
    assert "gpu=1" in asked("evaluate") and "runtime=20" in asked("evaluate") and "turn=1" in asked("cell")
    plan = dry_run("--cores", "16", "--configfile", "slurm/cluster.yaml", "--", "table_a1")
    assert re.search(r"^rule pretrain:\n(?: +.*\n)*? +threads: 8$", plan, re.M)


def test_no_group_of_jobs_waits_for_another_tables():
    plan = dry_run("--profile", "slurm", "--", "all_tables", "all_figures")
    groups = re.findall(r"Group job (\S+) .*\n((?:\n| +.*\n)+)", plan)
    assert len(groups) > 20
    for name, jobs in groups:
        of = {*re.findall(r"subject=([^,\n]+)", jobs), *re.findall(r"table=(table_\w+)", jobs)}
        assert len(of) == 1 and name in (f"scores-{min(of)}", f"cells-{min(of)}")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config/config.yaml", "results:", "result:", "error: config/config.yaml: unknown key 'result'"),
        (
            "config/config.yaml",
            "resources: {}",
            "resources: {pretain: {gpu: 1}}",
            "did you mean 'resources.pretrain'?",
        ),
        (
            "config/tables/table_a1.yaml",
            "cld.n_groups: 4",
            "cld.n_groups: 40",
            "4/kmeans: cld.n_groups 40 exceeds",
        ),
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


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cells/table_a1/99/kmeans.json", "config/tables/table_a1.yaml: no cell 99/kmeans; it has 4/kmeans"),
        ("runs/none-s0/checkpoint.pt", "no table asks for the run none-s0 at the preset tiny"),
        ("scores/none-s0/knn.json", "no table asks for the run none-s0 at the preset tiny"),
    ],
)
def test_what_no_table_has_is_one_line(checkout, target, message):
    failed = checkout.snakemake("--dry-run", f"results/tiny/{target}")
    assert failed.returncode == 1
    (line,) = [line for line in failed.stdout.splitlines() if line.startswith("error:")]
    assert message in line and "Traceback" not in failed.stdout and "Exception" not in failed.stdout


def test_a_table_that_does_not_fit_the_preset_blocks_neither_a_store_nor_another_table(checkout):
    with edited(checkout.table, "cld.n_groups: 4}", "cld.n_groups: 40}"):
        plan = checkout.make("--dry-run", "results/tiny/stores/cifar10.h5")
        assert "table_a1 is left out: config/tables/table_a1.yaml: cell 4/kmeans: cld.n_groups 40" in plan


#: Several words, each quoted where it is made.
WORDS = {"params.arguments", "params.launcher"}


@pytest.mark.parametrize("rules", sorted((ROOT / "workflow/rules").glob("*.smk")), ids=lambda path: path.stem)
def test_every_path_in_a_command_is_one_word_of_the_shell(rules):
    """Results and data may lie in folders with spaces and quotes in their names."""
    commands = re.findall(r'^ {4}shell:\n((?: {8}".*\n)+)', rules.read_text(), re.M)
    for name in re.findall(r"\{([\w.]+)\}", "".join(commands)):
        assert name in WORDS or name == "threads" or name.startswith("wildcards."), f"{{{name}}} without :q"
