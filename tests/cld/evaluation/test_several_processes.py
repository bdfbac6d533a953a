"""Detection and semi-supervised trials in two processes: as one computes them, stopped, resumed, killed."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from classifier_stores import write_checkpoint, write_plain_photos
from detection_stores import pictures, write_pictures
from processes import ENVIRONMENT, torchrun
from test_detection import tiny_settings
from test_semisup import SETTINGS
from trainings import interrupted

from cld.evaluation import evaluate_command as evaluation
from cld.evaluation.protocol_names import partial_path
from cld.evaluation.semisup import semisup_command as semisup
from cld.evaluation.semisup.subset import draw_subset
from cld.evaluation.semisup.trial import run_trial, weights_path
from cld.runtime.errors import InputError
from cld.runtime.files import write_json
from cld.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

SCRIPT = str(Path(__file__).parent / "one_of_several.py")


def words(arguments):
    return [*map(str, arguments), "--preset", "demo", "--device", "cpu"]


def in_two(folder, module, settings, arguments, signal=None):
    """A module's command in two processes, with settings of its own and a signal to one of them."""
    case = folder / "case.json"
    case.write_text(json.dumps({"module": module.__name__, "settings": settings, "signal": signal}))
    command = torchrun(2, SCRIPT, str(case), *words(arguments))
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    case.unlink()
    return done


def finished_in_two(*arguments):
    done = in_two(*arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def in_one(monkeypatch):
    """A module's command in this process."""

    def run(module, settings, arguments):
        monkeypatch.setattr(module, "load_protocol", lambda *_: settings)
        monkeypatch.setattr(sys, "argv", ["command", *words(arguments)])
        module.main()

    return run


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    splits = {"train": pictures(40, seed=0), "test": pictures(9, seed=1)}
    return write_pictures(tmp_path_factory.mktemp("pictured") / "s.h5", splits)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, tiny_run):
    run = tiny_run(overrides={"backbone.width": 8, "image_size": 8, "workers": 0, "checkpoint_every_s": 60})
    return write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint.pt", run)


def detection(store, checkpoint, score):
    return ["detection", "--store", store, "--checkpoint", checkpoint, "--score", score]


def assert_close(ours, theirs, rtol):
    """Weights and running statistics that differ by the order of sums."""
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        scale = values.abs().max().item()
        torch.testing.assert_close(ours[name], values, rtol=rtol, atol=rtol * scale, msg=name)


def test_two_processes_fine_tune_stop_together_and_detect_bit_by_bit_what_one_detects(
    pictured, checkpoint, tmp_path, in_one
):
    """Once a detector is fine-tuned every image is looked at alone, wherever that is."""
    # five images a step: three in the first process, two in the second
    settings = tiny_settings(4, images_per_step=5, boxes={"least_score": 0.0})
    scores = [tmp_path / "1.json", tmp_path / "2.json"]
    one, two = (detection(pictured, checkpoint, score) for score in scores)
    done = in_two(tmp_path, evaluation, settings, two, [1, 4, signal.SIGUSR1])  # one receives it, both stop
    assert done.returncode == 1  # torchrun's own
    assert done.stderr.count(f"stopped: iteration 4 is saved in {partial_path(scores[1])}") == 1
    assert not scores[1].exists()
    state = load_checkpoint(partial_path(scores[1]))
    fresh = load_checkpoint(checkpoint)["encoder"]["backbone.conv1.weight"]
    assert state["iteration"] == 4 and not torch.equal(state["detector"]["backbone.0.weight"], fresh)

    partial_path(scores[0]).write_bytes(partial_path(scores[1]).read_bytes())
    in_one(evaluation, settings, one)
    done = finished_in_two(tmp_path, evaluation, settings, two)
    assert done.stderr.count(f"resumed from iteration 4 of {partial_path(scores[1])}") == 1
    assert done.stderr.count("detect: 5/5 images") == 1
    ours, theirs = (json.loads(score.read_text()) for score in scores)
    assert ours["details"] == theirs["details"] and ours["metrics"] == theirs["metrics"]
    assert ours["details"]["n_detections"] > 100
    assert scores[0].with_suffix(".png").read_bytes() == scores[1].with_suffix(".png").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"1.json", "1.png", "2.json", "2.png"}


#: Of 27 images: three batches of nine, of which the first process has five and the second four.
NINES = {**SETTINGS, "batch_size": 10}
LR, MULTIPLIER = 0.003, 10


@pytest.fixture(scope="module")
def photographed(tmp_path_factory):
    """JPEGs, and a subset of them."""
    store = write_plain_photos(tmp_path_factory.mktemp("photographed") / "s.h5", 90, 6)
    write_json(store.with_suffix(".json"), draw_subset(store, 0.3, 0.3, seed=0))
    return store, store.with_suffix(".json")


def trial(subject, checkpoint, out):
    store, subset = subject
    files = ["--store", store, "--subset", subset, "--checkpoint", checkpoint, "--out", out]
    return ["trial", *files, "--lr", LR, "--head-multiplier", MULTIPLIER]


def test_a_trial_stopped_in_one_process_resumes_in_two_as_one_does(photographed, checkpoint, tmp_path):
    outs = [tmp_path / "1.json", tmp_path / "2.json"]

    def alone(out):
        return run_trial(checkpoint, *photographed, NINES, LR, MULTIPLIER, out, "cpu")

    with interrupted(5, signal.SIGURG):
        alone(outs[1])
    report = alone(outs[0])
    done = finished_in_two(tmp_path, semisup, NINES, trial(photographed, checkpoint, outs[1]))
    assert done.stderr.count(f"resumed from step 5 of {partial_path(outs[1])}") == 1
    assert done.stderr.count("lr 0.003, head x10: 12/12 steps") == 1
    ours = json.loads(outs[1].read_text())
    assert ours.pop("training_loss") == pytest.approx(report["training_loss"], rel=1e-3)
    held_out = ours.pop("held_out")
    assert held_out["loss"] == pytest.approx(report["held_out"]["loss"], rel=1e-3)
    # rounding may turn an image that lies between two classes
    assert held_out["top1"] == pytest.approx(report["held_out"]["top1"], abs=100 / 27 + 0.1)
    assert ours == {name: value for name, value in report.items() if name in ours}
    networks = [load_checkpoint(weights_path(path))["network"] for path in outs]
    assert_close(*networks, rtol=1e-4)
    assert report["held_out"]["top1"] > 50  # of three classes: there was something to learn
    assert not partial_path(outs[1]).exists()


def test_when_one_process_is_killed_the_other_ends_with_a_line(photographed, checkpoint, tmp_path):
    subject = trial(photographed, checkpoint, tmp_path / "t.json")
    done = in_two(tmp_path, semisup, NINES, subject, [1, 2, signal.SIGKILL])
    assert done.returncode == 1
    assert "error: process 0 lost another one, which says why unless it was killed" in done.stderr
    assert "Traceback" not in done.stderr.partition("torch/distributed/elastic")[0]  # where torchrun reports
    assert not (tmp_path / "t.json").exists()


def test_commands_of_one_process_are_refused_under_torchrun(
    pictured, photographed, checkpoint, tmp_path, in_one, monkeypatch
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    out = tmp_path / "s.json"
    files = ["--store", pictured, "--checkpoint", checkpoint, "--score", out]
    with pytest.raises(InputError, match="knn: takes 1 process, and torchrun started 2; start it without"):
        in_one(evaluation, {}, ["knn", *files])
    monkeypatch.setattr(sys, "argv", ["semisup", *map(str, ["subset", "--store", photographed[0]])])
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--preset", "demo", "--share", "0.1", "--out", str(out)])
    with pytest.raises(InputError, match="semisup subset: takes 1 process, and torchrun started 2"):
        semisup.main()
    assert not list(tmp_path.iterdir())
