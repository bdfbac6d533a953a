"""Scores and stores, what is printed of all, and the command."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cld.config import load_run
from cld.reporting.needed_runs import needed_runs
from cld.reporting.status.job import State
from cld.reporting.status.overview import as_json
from cld.reporting.status.screen import show
from cld.reporting.tables.spec import load_table
from cld.run_id import run_id
from cld.runtime.progress import Reported, progress, reported

OOM_KILL = "slurmstepd: error: Detected 1 oom_kill event in StepId={step}.0.\n"


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def printed(capsys, overview, **options) -> list[str]:
    show(overview, **options)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def evaluated(results, trained, tiny_run):
    """A trained run and one that has not begun, both to be scored."""
    done, waiting = results.add(tiny_run()), results.add(tiny_run(seed=1))
    shutil.copytree(trained.folder(done), results.folder(done))
    protocols = ("knn", "nmi", "semisup_1", "detection_voc07")
    scores = [f"demo/scores/{run}/{protocol}.json" for run in (done, waiting) for protocol in protocols]
    return results, done, (*scores, "demo/scores/kitchen_hc/chance.json")


def score_states(results, scores):
    return {sight.job.name: sight.state for sight in results.overview(scores=scores).scores}


def test_scores_are_done_failed_or_not_begun(evaluated):
    results, done, scores = evaluated
    folder = results.results / "demo"
    write(folder / f"scores/{done}/knn.json", "{}")
    log = folder / f"logs/evaluate/{done}.nmi.log"
    log.parent.mkdir(parents=True)
    command = ["-m", "cld", "evaluate", "nmi", "--preset", "demo", "--store", str(folder / "none.h5")]
    command += ["--checkpoint", str(results.folder(done) / "checkpoint.pt"), "--score", "nmi.json"]
    with log.open("w") as said:
        assert subprocess.run([sys.executable, *command], stdout=said, stderr=said).returncode == 2
    states = score_states(results, scores)
    assert states.pop(f"{done}/knn") == State.DONE
    assert states.pop(f"{done}/nmi") == State.FAILED
    assert set(states.values()) == {State.NOT_BEGUN} and len(states) == 7
    (failed,) = [sight for sight in results.overview(scores=scores).scores if sight.state == State.FAILED]
    assert "none.h5" in failed.cause.line


def test_a_trial_that_failed_is_a_score_that_failed(evaluated):
    results, done, scores = evaluated
    logs = results.results / "demo/logs/evaluate"
    write(logs / f"{done}.semisup_1.lr0.01-head10.log", "fine-tune: 3/9 steps (1.0 steps/s, 6 s left)\n")
    assert score_states(results, scores)[f"{done}/semisup_1"] == State.RUNNING
    write(logs / f"{done}.semisup_1.lr0.1-head1.log", "error: a.h5: no such file; build it\n")
    assert score_states(results, scores)[f"{done}/semisup_1"] == State.FAILED
    write(results.results / f"demo/scores/{done}/semisup_1.json", "{}")
    assert score_states(results, scores)[f"{done}/semisup_1"] == State.DONE


def test_a_store_that_cannot_be_built_stands_on_top_with_the_runs_that_wait(capsys, evaluated):
    results, _, scores = evaluated
    folder = results.results / "demo"
    write(folder / "data/gmu_kitchens/generated.json")
    write(folder / "logs/store/kitchen_hc.log", "error: data/gmu_kitchens: no scene; put them there\n")
    lines = printed(capsys, results.overview(scores=scores))
    assert lines[0] == "demo: 1 done, 1 not begun of 2 runs"
    start = lines.index("Stores that cannot be made; 1 run waits for them")
    assert lines[start + 1].startswith("  kitchen_hc  bad data or configuration  (store")
    assert lines[start + 2] == "    | error: data/gmu_kitchens: no scene; put them there"
    assert start < lines.index("Scores: 0 of 9")
    write(folder / "stores/kitchen_hc.h5")
    assert not any("cannot be made" in line for line in printed(capsys, results.overview(scores=scores)))


def test_a_download_that_is_under_way_is_told(capsys, results):
    config = load_run("paper", "cifar10", "npid")
    results.runs[run_id(config)] = config
    log = results.results / "paper/logs/fetch/cifar10.log"
    write(log, "cifar-10-python.tar.gz: 20/162 MB (4.0 MB/s, 35 s left)\n")
    lines = printed(capsys, results.overview(preset="paper"))
    assert "  cifar10  fetch running; 1 run waits for it" in lines


def test_the_text_is_plain_and_says_what_has_failed_and_why(capsys, results, tiny_run):
    failed = [results.add(tiny_run(seed=seed)) for seed in range(3)]
    now = time.time()
    for step, run in enumerate(failed):
        results.log(run).write_text(
            f"{run}: 8/12 steps (1.0 steps/s, 4 s left)  epoch 2/3\n" + OOM_KILL.format(step=step)
        )
    queued = results.add(tiny_run(seed=3))
    results.lock()
    results.mark(queued, "12_3", now - 60)
    results.add(tiny_run(seed=4))
    lines = printed(capsys, results.overview(now))
    assert lines[0] == "demo: 1 queued, 3 failed, 1 not begun of 5 runs"
    assert f"  {queued}  for 60 s  Slurm job 12_3" in lines
    start = lines.index("Failed")
    first = next(run for run in failed if lines[start + 1].startswith(f"  {run}  out of memory"))
    assert "after 2 of 3 epochs" in lines[start + 1]
    assert "mem_mb of pretrain" in lines[start + 2]
    assert lines[start + 3].startswith(f"    | {first}: 8/12 steps")
    assert lines[start + 4].startswith("    | slurmstepd: error: Detected 1 oom_kill event")
    assert lines[start + 5].strip() == str(results.log(first))
    # the others failed for the same reason
    assert lines[start + 6] == "    and likewise 2 more:"
    assert {line.strip() for line in lines[start + 7 : start + 9]} == set(failed) - {first}
    assert not any("\x1b" in line or line != line.rstrip() for line in lines)

    only_failed = printed(capsys, results.overview(now), only_failed=True)
    assert "Queued" not in only_failed and "Failed" in only_failed
    everything = printed(capsys, results.overview(now), everything=True)
    assert "Not begun" in everything and "Not begun" not in lines


def test_long_lists_are_cut_unless_all_are_asked_for(capsys, results, tiny_run):
    results.lock()
    for seed in range(20):
        results.mark(results.add(tiny_run(seed=seed)), str(seed), time.time())
    lines = printed(capsys, results.overview())
    assert "  and 10 more (--all)" in lines
    assert sum("Slurm job" in line for line in lines) == 10
    assert sum("Slurm job" in line for line in printed(capsys, results.overview(), everything=True)) == 20


def test_it_says_when_nothing_more_will_be_started(capsys, results, tiny_run):
    results.add(tiny_run())
    told = "No Snakemake is at work in this folder: nothing more will be started."
    assert told in printed(capsys, results.overview())
    results.lock()
    assert told not in printed(capsys, results.overview())


def test_programs_read_it_as_json(trained):
    told = json.loads(json.dumps(as_json(trained.overview())))
    done, stopped = told["runs"]
    assert (done["state"], done["epochs"], stopped["state"]) == ("done", 3, "stopped")
    assert done["seconds"] > 0 and stopped["lines"]


def test_what_progress_prints_is_read_back(capsys):
    with progress("logistic regression", 300, "evaluations at most") as bar:
        bar.advance(120, note="epoch 3/5, loss 0.1")
    line = capsys.readouterr().err.splitlines()[-1]
    told = reported(line)
    assert (told.label, told.done, told.total) == ("logistic regression", 120, 300)
    assert reported("a: b: 3/9 steps (0.5 steps/s, 12 s left)") == Reported("a: b", 3, 9, 12)
    assert reported("a: 9/9 steps (0.5 steps/s)") == Reported("a", 9, 9, None)
    assert reported("error: 3/9 steps failed") is None


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    program = (
        "import runpy, sys; sys.argv[0] = 'status'\n"
        "try: runpy.run_module('cld.reporting.status', run_name='__main__', alter_sys=True)\n"
        "finally: assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[4])},
        cwd=folder,
    )


def test_the_command_needs_no_torch_and_counts_what_the_preset_needs(tmp_path):
    done = command("--preset", "demo", "--tables", "table_a1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    wanted = needed_runs([load_table("table_a1", "demo")], "demo", with_evaluations=False)
    n_runs, n_scores = len(wanted.runs), len(wanted.scores)
    lines = done.stdout.splitlines()
    assert lines[0] == f"demo: {n_runs} not begun of {n_runs} runs"
    assert f"Scores: 0 of {n_scores}" in lines
    assert list(tmp_path.iterdir()) == []  # it only looks


def test_one_run_is_shown_by_a_part_of_its_name(tmp_path):
    run = next(iter(needed_runs([load_table("table_a1", "demo")], "demo", with_evaluations=False).runs))
    done = command("--preset", "demo", "--run", run[-8:], "--json", folder=tmp_path)
    assert [found["name"] for found in json.loads(done.stdout)["runs"]] == [run]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "dmeo"), "error: config/presets/dmeo.yaml: no such file"),
        (("--preset", "demo", "--tables", "table_x"), "error: --tables table_x: there is no such file"),
        (("--preset", "demo", "--run", "resnet"), "error: --run resnet: no run that is needed"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, message):
    done = command(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1
