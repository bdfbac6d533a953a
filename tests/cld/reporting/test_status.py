"""How far all runs, scores and stores are, and what is printed of them; runs are the real trainer's."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cld.config import format_overrides, load_run
from cld.reporting.job_status import State
from cld.reporting.needed_runs import Needed, needed_runs
from cld.reporting.status import as_json, gather, report
from cld.reporting.tables.spec import load_table
from cld.training.run_id import overrides_of, run_id

ROOT = Path(__file__).parents[3]
OOM_KILL = "slurmstepd: error: Detected 1 oom_kill event in StepId={step}.0.\n"


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Results:
    """A results folder and what is needed in it."""

    def __init__(self, results: Path, preset: str = "demo"):
        self.results, self.preset, self.folder = results, preset, results / preset
        self.runs: dict[str, dict] = {}

    def add(self, config: dict) -> str:
        """Let a run be needed."""
        self.runs[run_id(config)] = config
        return run_id(config)

    def log(self, run: str) -> Path:
        return self.folder / f"logs/pretrain/{run}.log"

    def start(self, run: str, store: Path) -> subprocess.Popen:
        """Start the training as the rule does."""
        config = self.runs[run]
        command = [sys.executable, "-m", "cld", "train", "--preset", self.preset, "--device", "cpu"]
        command += ["--dataset", config["dataset"], "--method", config["method"], "--store", str(store)]
        command += ["--run-dir", str(self.folder / "runs" / run)]
        command += format_overrides(overrides_of(config, self.preset))
        self.log(run).parent.mkdir(parents=True, exist_ok=True)
        with self.log(run).open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )

    def status(self, scores=(), queue=None, now=None):
        wanted = Needed(runs=self.runs, scores=list(scores))
        return gather(self.results, self.preset, wanted, queue or {}, now or time.time())

    def run(self, run: str, **options):
        """How far a run is, and its pace."""
        return next(row for row in self.status(**options).runs if row[0].job.name == run)

    def printed(self, now=None, everything=False, only_failed=False, **options) -> list[str]:
        status = self.status(now=now, **options)
        lines = report(status, now or time.time(), everything, only_failed)
        return [line for text, _ in lines for line in text.splitlines()]


@pytest.fixture
def results(tmp_path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, tiny_run, tiny_store) -> tuple[Results, str]:
    """A run that is trained to its end; tests leave it alone."""
    made = Results(tmp_path_factory.mktemp("trained") / "results")
    run = made.add(tiny_run())
    assert made.start(run, tiny_store).wait() == 0, made.log(run).read_text()
    return made, run


def test_a_run_that_is_done_says_how_long_it_took(trained):
    results, run = trained
    status, pace = results.run(run)
    assert status.state == State.DONE
    assert (pace.epochs, pace.n_epochs) == (3, 3)
    assert pace.seconds > 0
    assert any(run in line and "epoch 3/3  trained for" in line for line in results.printed(everything=True))


def test_a_run_at_work_says_its_epoch_speed_and_the_time_left_and_then_that_it_was_stopped(
    results, tiny_run, tiny_store
):
    run = results.add(tiny_run(overrides={"optimiser.epochs": 100_000}))
    process = results.start(run, tiny_store)
    log = results.folder / "runs" / run / "log.csv"
    try:
        while not log.exists() or log.read_text().count("\n") < 3:
            assert process.poll() is None, results.log(run).read_text()
            time.sleep(0.05)
        running, pace = results.run(run)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    assert running.state == State.RUNNING
    assert 2 <= pace.epochs < pace.n_epochs == 100_000
    assert pace.images_per_s > 0 and pace.seconds_left > 0
    stopped, pace = results.run(run, now=time.time() + 10_000)
    assert (stopped.state, stopped.error, pace.seconds_left) == (State.STOPPED, None, None)
    assert stopped.last_lines[-1].startswith("stopped: step ")


def test_a_run_that_failed_shows_its_own_error(results, tiny_run, tiny_store):
    run = results.add(tiny_run(overrides={"optimiser.batch_size": 64}))
    assert results.start(run, tiny_store).wait() == 2
    status, _ = results.run(run)
    assert status.state == State.FAILED
    assert status.error.startswith("error: ") and "do not fill a batch of 64" in status.error


def test_progress_in_the_log_is_newer_than_the_last_epoch(results, tiny_run):
    now = time.time()
    run = results.add(tiny_run(overrides={"optimiser.epochs": 5000}))
    write(results.folder / f"runs/{run}/log.csv", f"epoch,step,images_per_s,ended\n2,8,16.0,{now - 20}\n")
    write(results.log(run), f"{run}: 400/20000 steps (10.0 steps/s, 1960 s left)  epoch 100/5000\n")
    os.utime(results.folder / f"runs/{run}/log.csv", (now - 20, now - 20))
    os.utime(results.log(run), (now - 10, now - 10))
    status, pace = results.run(run, now=now)
    assert (status.state, pace.epochs, pace.images_per_s) == (State.RUNNING, 100, 80)  # 8 images a step
    assert pace.seconds_left == pytest.approx(1950)
    write(results.log(run))
    _, pace = results.run(run, now=now)
    assert (pace.epochs, pace.images_per_s) == (2, 16)
    assert pace.seconds_left == pytest.approx((20_000 - 8) * 8 / 16 - 20)


@pytest.fixture
def evaluated(results, tiny_run):
    """A trained run and one that has not begun, both to be scored."""
    done, waiting = results.add(tiny_run()), results.add(tiny_run(seed=1))
    write(results.folder / f"runs/{done}/checkpoint.pt")
    protocols = ("knn", "nmi", "semisup_1", "detection_voc07")
    scores = [f"demo/scores/{run}/{protocol}.json" for run in (done, waiting) for protocol in protocols]
    return results, done, (*scores, "demo/scores/kitchen_hc/chance.json")


def score_states(results, scores):
    return {status.job.name: status.state for status in results.status(scores).scores}


def test_scores_are_done_failed_or_not_begun(evaluated):
    results, done, scores = evaluated
    write(results.folder / f"scores/{done}/knn.json", "{}")
    write(results.folder / f"logs/evaluate/{done}.nmi.log", "error: none.h5: no such file; build it\n")
    states = score_states(results, scores)
    assert states.pop(f"{done}/knn") == State.DONE
    assert states.pop(f"{done}/nmi") == State.FAILED
    assert set(states.values()) == {State.NOT_BEGUN} and len(states) == 7
    lines = results.printed(scores=scores)
    assert "  knn: 1 done, 1 not begun" in lines
    assert "  nmi: 1 failed, 1 not begun" in lines


def test_a_trial_that_failed_is_a_score_that_failed(evaluated):
    results, done, scores = evaluated
    logs = results.folder / "logs/evaluate"
    write(logs / f"{done}.semisup_1.lr0.01-head10.log", "fine-tune: 3/9 steps (1.0 steps/s, 6 s left)\n")
    assert score_states(results, scores)[f"{done}/semisup_1"] == State.RUNNING
    write(logs / f"{done}.semisup_1.lr0.1-head1.log", "error: a.h5: no such file; build it\n")
    assert score_states(results, scores)[f"{done}/semisup_1"] == State.FAILED
    write(results.folder / f"scores/{done}/semisup_1.json", "{}")
    assert score_states(results, scores)[f"{done}/semisup_1"] == State.DONE


def test_a_store_that_cannot_be_built_has_failed_until_it_exists(evaluated):
    results, _, scores = evaluated
    write(results.folder / "data/gmu_kitchens/generated.json")
    error = "error: data/gmu_kitchens: no scene; put them there"
    write(results.folder / "logs/store/kitchen_hc.log", f"{error}\n")
    lines = results.printed(scores=scores)
    assert "2 stores: 1 failed, 1 not begun" in lines  # VOC's is missing, too
    start = lines.index("Failed")
    assert lines[start + 1].startswith("  kitchen_hc  ")
    assert lines[start + 2] == f"    {error}"
    write(results.folder / "stores/kitchen_hc.h5")
    assert "2 stores: 1 done, 1 not begun" in results.printed(scores=scores)


def test_a_download_is_shown(tmp_path):
    results = Results(tmp_path, "paper")
    results.add(load_run("paper", "cifar10", "npid"))
    line = "cifar-10-python.tar.gz: 20/162 MB (4.0 MB/s, 35 s left)\n"
    write(results.folder / "logs/fetch/cifar10.log", line)
    lines = results.printed()
    assert lines[lines.index("Running") + 1] == "  cifar10"


def test_the_text_says_what_has_failed_and_why(results, tiny_run):
    failed = [results.add(tiny_run(seed=seed)) for seed in range(3)]
    for step, run in enumerate(failed):
        line = f"{run}: 8/12 steps (1.0 steps/s, 4 s left)  epoch 2/3\n"
        write(results.log(run), line + OOM_KILL.format(step=step))
    queued = results.add(tiny_run(seed=3))
    results.add(tiny_run(seed=4))
    queue = {f"rule_pretrain_wildcards_demo_{queued}": ("12", "PENDING")}
    lines = results.printed(queue=queue)
    assert lines[0] == "5 runs: 1 queued, 3 failed, 1 not begun"
    assert f"  {queued}  epoch ?/3  Slurm job 12" in lines
    start = lines.index("Failed")
    assert lines[start + 1].startswith(f"  {failed[0]}  ")
    assert lines[start + 2].startswith("    killed by the kernel for memory; raise mem_mb")
    assert lines[start + 3].startswith(f"    | {failed[0]}: 8/12 steps")
    assert lines[start + 5] == f"    {results.log(failed[0])}"
    # the others failed for the same reason
    assert lines[start + 6 :] == ["    and likewise 2 more:", f"      {failed[1]}", f"      {failed[2]}"]
    only_failed = results.printed(queue=queue, only_failed=True)
    assert "Queued" not in only_failed and "Failed" in only_failed
    assert "Not begun" in results.printed(queue=queue, everything=True) and "Not begun" not in lines


def test_long_lists_are_cut_unless_all_are_asked_for(results, tiny_run):
    runs = [results.add(tiny_run(seed=seed)) for seed in range(20)]
    queue = {f"rule_pretrain_wildcards_demo_{run}": (str(i), "PENDING") for i, run in enumerate(runs)}
    lines = results.printed(queue=queue)
    assert "  and 10 more (--all)" in lines
    assert sum("Slurm job" in line for line in lines) == 10
    assert sum("Slurm job" in line for line in results.printed(queue=queue, everything=True)) == 20


def test_programs_read_it_as_json(trained):
    results, run = trained
    (found,) = json.loads(json.dumps(as_json(results.status())))["runs"]
    assert (found["name"], found["state"], found["epochs"]) == (run, "done", 3)


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "cld", "status", *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        cwd=folder,
    )


def test_the_command_counts_what_the_preset_needs_and_leaves_no_trace(tmp_path):
    done = command("--tables", "table_a1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    wanted = needed_runs([load_table("table_a1", "demo")], "demo", with_evaluations=False)
    lines = done.stdout.splitlines()
    assert lines[0] == f"{len(wanted.runs)} runs: {len(wanted.runs)} not begun"
    assert f"{len(wanted.scores)} scores: {len(wanted.scores)} not begun" in lines
    assert not any("\x1b" in line or line != line.rstrip() for line in lines)
    assert list(tmp_path.iterdir()) == []
    run = next(iter(wanted.runs))
    one = command("--preset", "demo", "--run", run[-8:], "--json", folder=tmp_path)
    assert [found["name"] for found in json.loads(one.stdout)["runs"]] == [run]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "dmeo"), "error: config/presets/dmeo.yaml: no such file"),
        (("--tables", "table_x"), "error: --tables table_x: there is no such file"),
        (("--run", "resnet"), "error: --run resnet: no needed run"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, message):
    done = command(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(message) and done.stderr.count("\n") == 1
