"""How far all runs, scores and stores are, and what is printed of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cld.config import format_overrides, load_run
from cld.reporting import status
from cld.reporting.job_status import State
from cld.reporting.needed_runs import Needed
from cld.runtime.errors import InputError
from cld.training.run_folder import COLUMNS
from cld.training.run_id import overrides_of, run_id

OOM_KILL = "slurmstepd: error: Detected 1 oom_kill event in StepId={step}.0.\n"
KINDS = ("runs", "sources", "stores", "scores", "trials")


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class Results:
    """A results folder and what is needed in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.runs: dict[str, dict] = {}
        self.scores: list[str] = []

    def add(self, config: dict) -> str:
        """Let a run be needed."""
        self.runs[run_id(config)] = config
        return run_id(config)

    def log(self, run: str) -> Path:
        return self.folder / f"logs/pretrain/{run}.log"

    def start(self, run: str, store: Path) -> subprocess.Popen:
        """Start the training as the rule does."""
        config = self.runs[run]
        command = [sys.executable, "-m", "cld", "train", "--preset", "demo", "--device", "cpu"]
        command += ["--dataset", config["dataset"], "--method", config["method"], "--store", str(store)]
        command += ["--run-dir", str(self.folder / "runs" / run)]
        command += format_overrides(overrides_of(config, "demo"))
        write(self.log(run))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with self.log(run).open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def found(self, queue=None, now=None):
        needed = Needed(runs=self.runs, scores=self.scores)
        return status.find(self.folder, needed, queue or {}, now or time.time())

    def run(self, run: str, now=None):
        """How far a run is, and its pace."""
        found = next(found for found in self.found(now=now)["runs"] if found.job.name == run)
        return found, found.pace

    def states(self, kind: str) -> dict[str, State]:
        return {found.job.name: found.state for found in self.found()[kind]}

    def printed(self, queue=None, **options) -> list[str]:
        return "\n".join(status.report(self.found(queue), time.time(), **options)).splitlines()


@pytest.fixture
def results(tmp_path) -> Results:
    return Results(tmp_path / "demo")


def test_a_run_at_work_shows_its_epoch_speed_and_the_time_left_and_then_that_it_was_stopped(
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


def test_the_time_left_is_that_of_the_last_epochs_speed(results, tiny_run):
    now = time.time()
    run = results.add(tiny_run(overrides={"optimiser.epochs": 5000}))
    write(results.folder / f"runs/{run}/log.csv", f"{','.join(COLUMNS)}\n2,8,0.1,16,{now - 20},1\n")
    found, pace = results.run(run, now=now)
    assert (found.state, pace.epochs, pace.images_per_s) == (State.RUNNING, 2, 16)
    assert pace.seconds_left == pytest.approx((20_000 - 8) * 8 / 16 - 20)
    assert f"  {run}  epoch 2/5000  16 images/s  2.8 h left" in results.printed()


@pytest.fixture
def evaluated(results, tiny_run):
    """A trained run and one that has not begun, both to be scored."""
    done, waiting = results.add(tiny_run()), results.add(tiny_run(seed=1))
    write(results.folder / f"runs/{done}/checkpoint.pt")
    protocols = ("knn", "nmi", "semisup_1", "detection_voc07")
    scores = [f"demo/scores/{run}/{protocol}.json" for run in (done, waiting) for protocol in protocols]
    results.scores = [*scores, "demo/scores/kitchen_hc/chance.json"]
    return results, done


def test_scores_are_done_failed_or_not_begun(evaluated):
    results, done = evaluated
    write(results.folder / f"scores/{done}/knn.json", "{}")
    write(results.folder / f"logs/evaluate/{done}.nmi.log", "error: none.h5: no such file; build it\n")
    states = results.states("scores")
    assert states.pop(f"{done}/knn") == State.DONE
    assert states.pop(f"{done}/nmi") == State.FAILED
    assert set(states.values()) == {State.NOT_BEGUN} and len(states) == 7
    lines = results.printed()
    assert "  knn: 1 done, 1 not begun" in lines
    assert "  nmi: 1 failed, 1 not begun" in lines


def test_trials_are_shown_until_their_score_is_done(evaluated):
    results, done = evaluated
    logs = results.folder / "logs/evaluate"
    write(logs / f"{done}.semisup_1.lr0.01-head10.log", "fine-tune: 3/9 steps (1.0 steps/s, 6 s left)\n")
    write(logs / f"{done}.semisup_1.lr0.1-head1.log", "error: a.h5: no such file; build it\n")
    assert results.states("trials") == {
        f"{done}/semisup_1/lr0.01-head10": State.RUNNING,
        f"{done}/semisup_1/lr0.1-head1": State.FAILED,
    }
    write(results.folder / f"scores/{done}/semisup_1.json", "{}")
    assert results.states("trials") == {}


def test_a_store_that_cannot_be_built_has_failed_until_it_exists(evaluated):
    results, _ = evaluated
    write(results.folder / "data/gmu_kitchens/generated.json")
    error = "error: data/gmu_kitchens: no scene; put them there"
    write(results.folder / "logs/store/kitchen_hc.log", f"{error}\n")
    lines = results.printed()
    assert "2 stores: 1 failed, 1 not begun" in lines  # VOC's is missing, too
    start = lines.index("Failed")
    assert lines[start + 1].startswith("  kitchen_hc  ")
    assert lines[start + 2] == f"    {error}"
    write(results.folder / "stores/kitchen_hc.h5")
    assert "2 stores: 1 done, 1 not begun" in results.printed()


def test_a_download_is_shown(tmp_path):
    results = Results(tmp_path / "paper")
    results.add(load_run("paper", "cifar10", "npid"))
    line = "cifar-10-python.tar.gz: 20/162 MB (4.0 MB/s, 35 s left)\n"
    write(results.folder / "logs/fetch/cifar10.log", line)
    lines = results.printed()
    assert lines[lines.index("Running") + 1] == "  data/cifar10  20/162 MB (4.0 MB/s, 35 s left)"


def test_the_text_shows_what_has_failed_and_why(results, tiny_run):
    failed = [results.add(tiny_run(seed=seed)) for seed in range(3)]
    for step, run in enumerate(failed):
        line = f"{run}: 8/12 steps (1.0 steps/s, 4 s left)  epoch 2/3\n"
        write(results.log(run), line + OOM_KILL.format(step=step))
    queued = [results.add(tiny_run(seed=seed)) for seed in range(3, 15)]
    results.add(tiny_run(seed=15))
    queue = {f"rule_pretrain_wildcards_demo_{run}": ("12", "PENDING") for run in queued}
    lines = results.printed(queue)
    assert lines[0] == "16 runs: 12 queued, 3 failed, 1 not begun"
    assert lines.count(f"  {queued[0]}  epoch 0/3  Slurm job 12") == 1
    assert "  and 2 more (--json lists all)" in lines
    start = lines.index("Failed")
    assert lines[start + 1].startswith(f"  {failed[0]}  ")
    assert lines[start + 2].startswith("    killed by the kernel for memory; raise mem_mb")
    assert lines[start + 3].startswith(f"    | {failed[0]}: 8/12 steps")
    assert lines[start + 5] == f"    {results.log(failed[0])}"
    # the others failed for the same reason
    assert lines[start + 6 :] == ["    and likewise 2 more:", f"      {failed[1]}", f"      {failed[2]}"]
    only_failed = results.printed(queue, only_failed=True)
    assert "Queued" not in only_failed and "Failed" in only_failed
    everything = results.printed(queue, everything=True)
    assert "Not begun" in everything and "Not begun" not in lines
    assert sum("Slurm job" in line for line in everything) == 12


def command(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["cld status", *map(str, arguments)])
    status.main()


def test_the_command_counts_what_the_preset_needs_and_writes_nothing(tmp_path, monkeypatch, capsys):
    command(monkeypatch, "--results", tmp_path)
    n_runs = int(capsys.readouterr().out.split(" runs: ")[0])
    command(monkeypatch, "--results", tmp_path, "--json")
    found = json.loads(capsys.readouterr().out)
    assert list(found) == list(KINDS) and len(found["runs"]) == n_runs > 1
    run = found["runs"][0]
    assert (run["state"], run["epochs"], run["error"]) == ("not begun", 0, None)
    command(monkeypatch, "--results", tmp_path, "--json", "--run", run["name"][-8:])
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["runs"]] == [run["name"]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--preset", "dmeo"), "config/presets/dmeo.yaml: no such file"),
        (("--run", "resnet"), "--run resnet: no needed run"),
    ],
)
def test_a_mistake_is_one_line(monkeypatch, arguments, message):
    with pytest.raises(InputError, match=message):
        command(monkeypatch, *arguments)
