"""Evaluations that train, stopped or crashed and started again: the bits of one that was not."""

import json
import signal

import pytest
import torch
from classifier_stores import write_checkpoint, write_colours
from detection_stores import pictures, write_pictures
from test_detection import tiny_settings
from test_linear import PUBLISHED
from test_semisup import SETTINGS
from trainings import interrupted

from cld.evaluation.detection.scoring import score_detection
from cld.evaluation.linear import score_linear_published
from cld.evaluation.protocol_names import partial_path
from cld.evaluation.semisup.subset import draw_subset
from cld.evaluation.semisup.trial import run_trial, weights_path
from cld.runtime.errors import InputError
from cld.runtime.files import write_json
from cld.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def subject(tmp_path_factory, tiny_run):
    """A folder with stores, a subset, and a checkpoint whose run is saved at every step."""
    folder = tmp_path_factory.mktemp("subject")
    store = write_colours(folder / "s.h5", (30, 25, 20), (2, 2, 2))
    write_json(folder / "subset.json", draw_subset(store, 0.3, 0.3, seed=0))
    splits = {"train": pictures(40, seed=0), "test": pictures(9, seed=1)}
    write_pictures(folder / "pictures.h5", splits)
    always = tiny_run(overrides={"checkpoint_every_s": 0, "backbone.width": 8, "workers": 0})
    write_checkpoint(folder / "always.pt", always)
    return folder


def trial(subject, out, lr=0.1):
    files = (subject / "always.pt", subject / "s.h5", subject / "subset.json")
    run_trial(*files, SETTINGS, lr, 10, out, "cpu")


def linear_published(subject, out, **changes):
    settings = {**PUBLISHED, "epochs": 5, "milestones": [3, 4], **changes}
    score = score_linear_published(subject / "s.h5", settings, subject / "always.pt", "cpu", score=out)
    write_json(out, score)


def detection(subject, out):
    settings = tiny_settings(16)
    score = score_detection(subject / "pictures.h5", settings, subject / "always.pt", "cpu", score=out)
    write_json(out, score)


#: By work, what is left in the folder (the commands remove the state), and what has the trained weights.
LEFT = {
    trial: {"out.json", "out.pt"},
    linear_published: {"out.json", "out.partial.pt"},
    detection: {"out.json", "out.partial.pt", "out.png"},
}


@pytest.mark.parametrize("work", LEFT)
def test_stopped_and_crashed_ends_with_the_same_bits(work, subject, tmp_path):
    outs = [tmp_path / name / "out.json" for name in ("undisturbed", "disturbed")]
    for out in outs:
        out.parent.mkdir()
    work(subject, outs[0])
    partial, done = partial_path(outs[1]), 0
    # a crash loses its second step; the last stop is within a later epoch
    for after, number in ((2, None), (3, signal.SIGTERM), (5, signal.SIGUSR1), (4, signal.SIGURG)):
        with interrupted(after, number):
            work(subject, outs[1])
        done += after if number else after - 1
        assert load_checkpoint(partial)["iteration" if work is detection else "step"] == done
        assert not outs[1].exists()
    (partial.parent / ".out.partial.killed.tmp.pt").touch()  # as of a process killed while it wrote
    work(subject, outs[1])
    assert {path.name for path in partial.parent.iterdir()} == LEFT[work]
    for name in LEFT[work] - {"out.pt", "out.partial.pt"}:
        assert outs[0].with_name(name).read_bytes() == outs[1].with_name(name).read_bytes()
    kept = weights_path if work is trial else partial_path
    ours, theirs = (load_checkpoint(kept(out)) for out in outs)
    for part in {"network", "trained", "detector", "optimiser"} & theirs.keys():
        torch.testing.assert_close(ours[part], theirs[part], rtol=0, atol=0)


def test_a_trial_that_has_diverged_before_it_was_killed_stays_so(subject, tmp_path, monkeypatch):
    out = tmp_path / "out.json"

    def killed(*_):
        raise KeyError

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr("cld.evaluation.scored_run.extract_features", killed)
        trial(subject, out, lr=1e30)
    monkeypatch.setattr(torch.optim.SGD, "step", killed)  # there is nothing left to train
    trial(subject, out, lr=1e30)
    assert json.loads(out.read_text())["diverged"]


def test_the_state_of_another_trial_is_refused(subject, tmp_path):
    out = tmp_path / "out.json"
    with interrupted(2, signal.SIGTERM):
        trial(subject, out)
    with pytest.raises(
        InputError, match=r"out\.partial\.pt: belongs to another training \(lr 0\.1 there, 0\.2"
    ):
        trial(subject, out, lr=0.2)


def test_a_linear_classifier_that_diverges_leaves_nothing_behind(subject, tmp_path):
    with pytest.raises(InputError, match=r"diverged; lower linear_published\.lr \(1e\+37\)"):
        linear_published(subject, tmp_path / "out.json", lr=1e37, epochs=12, milestones=[8, 10])
    assert not list(tmp_path.iterdir())
