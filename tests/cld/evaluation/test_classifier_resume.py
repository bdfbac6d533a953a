"""Trials and linear classifiers that stop or crash and are started again: the bits of one that did not."""

import json
import signal

import pytest
import torch
from classifier_stores import write_checkpoint, write_colours
from test_linear import PUBLISHED
from test_semisup import SETTINGS

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
    """A store, a subset, and a checkpoint whose run is saved at every step."""
    folder = tmp_path_factory.mktemp("subject")
    store = write_colours(folder / "s.h5", (30, 25, 20), (2, 2, 2))
    write_json(folder / "subset.json", draw_subset(store, 0.3, 0.3, seed=0))
    always = write_checkpoint(folder / "always.pt", tiny_run(overrides={"checkpoint_every_s": 0}))
    return store, folder / "subset.json", always


def trial(subject, out, lr=0.1):
    store, subset, checkpoint = subject
    run_trial(checkpoint, store, subset, SETTINGS, lr, 10, out, "cpu")


def linear_published(subject, out, **changes):
    store, _, checkpoint = subject
    settings = {**PUBLISHED, "epochs": 5, "milestones": [3, 4], **changes}
    out.write_text(json.dumps(score_linear_published(store, settings, checkpoint, "cpu", score=out)))


@pytest.mark.parametrize("work", [trial, linear_published])
def test_stopped_and_crashed_ends_with_the_same_bits(work, subject, tmp_path, interrupted):
    outs = [tmp_path / name / "out.json" for name in ("undisturbed", "disturbed")]
    for out in outs:
        out.parent.mkdir()
    work(subject, outs[0])
    partial, done = partial_path(outs[1]), 0
    # a crash loses its second step; the last stop is within a later epoch
    for after, number in ((2, None), (3, signal.SIGTERM), (5, signal.SIGUSR1), (4, signal.SIGURG)):
        interrupted(lambda: work(subject, outs[1]), after, number)
        done += after if number else after - 1
        assert load_checkpoint(partial)["step"] == done
        assert not outs[1].exists()
    (partial.parent / ".out.partial.killed.tmp.pt").touch()  # as of a process killed while it wrote
    work(subject, outs[1])
    assert outs[0].read_bytes() == outs[1].read_bytes()
    if work is trial:
        networks = [load_checkpoint(weights_path(out))["network"] for out in outs]
        assert {path.name for path in partial.parent.iterdir()} == {"out.json", "out.pt"}
    else:  # the command removes it
        networks = [load_checkpoint(partial_path(out))["trained"] for out in outs]
    assert all(torch.equal(values, networks[1][name]) for name, values in networks[0].items())


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


def test_the_state_of_another_trial_is_refused(subject, tmp_path, interrupted):
    out = tmp_path / "out.json"
    interrupted(lambda: trial(subject, out), 2, signal.SIGTERM)
    with pytest.raises(
        InputError, match=r"out\.partial\.pt: belongs to another training \(lr 0\.1 there, 0\.2"
    ):
        trial(subject, out, lr=0.2)


def test_a_linear_classifier_that_diverges_leaves_nothing_behind(subject, tmp_path):
    with pytest.raises(InputError, match=r"diverged; lower linear_published\.lr \(1e\+37\)"):
        linear_published(subject, tmp_path / "out.json", lr=1e37, epochs=12, milestones=[8, 10])
    assert not list(tmp_path.iterdir())
