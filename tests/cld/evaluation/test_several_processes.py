"""Detection and semi-supervised trials in two processes: what one computes, stopped, gone on with, killed."""

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from detection_stores import pictures, write_pictures
from linear_subjects import write_checkpoint, write_colours, write_plain_photos
from one_of_several import signalling_step
from processes import ENVIRONMENT, torchrun
from test_detection import tiny_settings
from test_semisup import SETTINGS
from torch.optim import SGD

from cld.evaluation import evaluate_command as evaluation
from cld.evaluation.protocols import partial_path
from cld.evaluation.semisup import semisup_command as semisup
from cld.evaluation.semisup.subset import draw_subset, write_subset
from cld.evaluation.semisup.trial import run_trial, weights_path
from cld.runtime.errors import InputError
from cld.training.checkpoint import load_checkpoint

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


#: Five images a step: three in the first process, two in the second.
FIVES = tiny_settings(6, images_per_step=5)


def test_two_processes_detect_bit_by_bit_what_one_detects(pictured, checkpoint, tmp_path, in_one):
    """Fresh detectors: every image is looked at alone, wherever that is."""
    settings = tiny_settings(0, boxes={"least_score": 0.0})
    scores = [tmp_path / "1.json", tmp_path / "2.json"]
    in_one(evaluation, settings, detection(pictured, checkpoint, scores[0]))
    done = finished_in_two(tmp_path, evaluation, settings, detection(pictured, checkpoint, scores[1]))
    assert done.stderr.count("detect: 5/5 images") == 1
    one, two = (json.loads(score.read_text()) for score in scores)
    assert one["details"] == two["details"] and one["metrics"] == two["metrics"]
    assert one["details"]["n_detections"] > 100
    assert scores[0].with_suffix(".png").read_bytes() == scores[1].with_suffix(".png").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"1.json", "1.png", "2.json", "2.png"}


def assert_close(ours, theirs, rtol):
    """Weights and running statistics that differ by the order of sums."""
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        scale = values.abs().max().item()
        torch.testing.assert_close(ours[name], values, rtol=rtol, atol=rtol * scale, msg=name)


def test_two_processes_fine_tune_a_detector_as_one_does_and_each_goes_on_with_the_others(
    pictured, checkpoint, tmp_path, in_one, monkeypatch
):
    scores = [tmp_path / "1.json", tmp_path / "2.json"]
    one, two = (detection(pictured, checkpoint, score) for score in scores)
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(SGD, "step", signalling_step(4, signal.SIGUSR1))
        in_one(evaluation, FIVES, one)
    assert stopped.value.code == 128 + signal.SIGUSR1
    done = in_two(tmp_path, evaluation, FIVES, two, [1, 4, signal.SIGUSR1])  # one is told, both stop
    assert done.returncode == 1  # torchrun's own
    assert done.stderr.count(f"stopped: iteration 4 is saved in {partial_path(scores[1])}") == 1
    assert not any(score.exists() for score in scores)
    kept = [load_checkpoint(partial_path(score)) for score in scores]
    assert kept[0]["iteration"] == kept[1]["iteration"] == 4
    assert_close(kept[1]["detector"], kept[0]["detector"], rtol=1e-4)

    done = finished_in_two(tmp_path, evaluation, FIVES, one)
    assert done.stderr.count(f"resumed from iteration 4 of {partial_path(scores[0])}") == 1
    in_one(evaluation, FIVES, two)
    found = [json.loads(score.read_text())["metrics"] for score in scores]
    assert found[1] == pytest.approx(found[0], abs=1)
    assert not any(partial_path(score).exists() for score in scores)


#: Of 27 images: three batches of nine, of which the first process has five and the second four.
NINES = {**SETTINGS, "batch_size": 10}
LR, MULTIPLIER = 0.003, 10


def subset_of(store):
    path = store.with_suffix(".json")
    write_subset(path, draw_subset(store, 0.3, 0.3, seed=0))
    return store, path


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """Images as arrays, and a subset of them."""
    path = tmp_path_factory.mktemp("coloured") / "s.h5"
    return subset_of(write_colours(path, (30, 30, 30), (2, 2, 2), noise=20))


@pytest.fixture(scope="module")
def photographed(tmp_path_factory):
    """JPEGs, and a subset of them."""
    return subset_of(write_plain_photos(tmp_path_factory.mktemp("photographed") / "s.h5", 90, 6))


def trial(subject, checkpoint, out):
    store, subset = subject
    files = ["--store", store, "--subset", subset, "--checkpoint", checkpoint, "--out", out]
    return ["trial", *files, "--lr", LR, "--head-multiplier", MULTIPLIER]


def alone(subject, checkpoint, out):
    return asdict(run_trial(checkpoint, *subject, NINES, LR, MULTIPLIER, out, "cpu"))


def assert_same_trial(out, theirs, report):
    ours = json.loads(out.read_text())
    for name in ("training_loss", "held_out"):
        assert ours.pop(name) == pytest.approx(report[name], rel=1e-3)
    assert ours == {name: value for name, value in report.items() if name in ours}
    networks = [load_checkpoint(weights_path(path))["network"] for path in (out, theirs)]
    assert_close(*networks, rtol=1e-4)


def test_two_processes_run_a_trial_as_one_does(coloured, checkpoint, tmp_path):
    outs = [tmp_path / "1.json", tmp_path / "2.json"]
    report = alone(coloured, checkpoint, outs[0])
    done = finished_in_two(tmp_path, semisup, NINES, trial(coloured, checkpoint, outs[1]))
    assert done.stderr.count("lr 0.003, head x10: 12/12 steps") == 1
    assert_same_trial(outs[1], outs[0], report)
    assert report["held_out"]["top1"] > 50  # of three classes: there was something to learn


def test_a_trial_stopped_in_two_processes_goes_on(photographed, checkpoint, tmp_path):
    outs = [tmp_path / "1.json", tmp_path / "2.json"]
    report = alone(photographed, checkpoint, outs[0])
    subject, partial = trial(photographed, checkpoint, outs[1]), partial_path(outs[1])
    done = in_two(tmp_path, semisup, NINES, subject, [1, 5, signal.SIGURG])
    assert done.returncode == 1 and not outs[1].exists()
    assert done.stderr.count(f"stopped: step 5 is saved in {partial}") == 1
    done = finished_in_two(tmp_path, semisup, NINES, subject)
    assert done.stderr.count(f"resumed from step 5 of {partial}") == 1
    assert_same_trial(outs[1], outs[0], report)
    assert not partial.exists()


def test_when_one_process_is_killed_the_other_ends_with_a_line(coloured, checkpoint, tmp_path):
    subject = trial(coloured, checkpoint, tmp_path / "t.json")
    done = in_two(tmp_path, semisup, NINES, subject, [1, 2, signal.SIGKILL])
    assert done.returncode == 1
    assert "error: process 0 lost another one, which says why unless it was killed" in done.stderr
    assert "Traceback" not in done.stderr.partition("torch/distributed/elastic")[0]  # where torchrun reports
    assert not (tmp_path / "t.json").exists()


def test_a_detector_that_diverges_is_noticed_by_all(pictured, checkpoint, tmp_path):
    wild = tiny_settings(20, lr=1e12, warmup_iterations=0)
    done = in_two(tmp_path, evaluation, wild, detection(pictured, checkpoint, tmp_path / "d.json"))
    assert done.returncode == 1
    assert done.stderr.count("error: fine-tuning diverged in iteration") == 2


def test_more_processes_than_images_of_a_step_are_refused(pictured, checkpoint, tmp_path):
    single = tiny_settings(images_per_step=1)
    done = in_two(tmp_path, evaluation, single, detection(pictured, checkpoint, tmp_path / "d.json"))
    assert done.returncode == 1
    told = "2 processes cannot share 1 images of a step (detection.images_per_step): start 1 at most"
    assert f"error: {told}" in done.stderr
    assert not list(tmp_path.iterdir())


def test_commands_of_one_process_are_refused_under_torchrun(
    pictured, coloured, checkpoint, tmp_path, in_one, monkeypatch
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    out = tmp_path / "s.json"
    files = ["--store", pictured, "--checkpoint", checkpoint, "--score", out]
    with pytest.raises(InputError, match="knn: takes 1 process, and torchrun started 2; start it without"):
        in_one(evaluation, {}, ["knn", *files])
    monkeypatch.setattr(sys, "argv", ["semisup", *map(str, ["subset", "--store", coloured[0]])])
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--preset", "demo", "--share", "0.1", "--out", str(out)])
    with pytest.raises(InputError, match="semisup subset: takes 1 process, and torchrun started 2"):
        semisup.main()
    assert not list(tmp_path.iterdir())
