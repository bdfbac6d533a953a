"""A trial or linear classifier that is stopped or killed and started again: the bits of one that was not."""

import json
import multiprocessing
import signal

import pytest
import torch
from linear_subjects import write_checkpoint, write_colours
from one_of_several import signalling_step
from test_linear import PUBLISHED
from test_semisup import SETTINGS
from torch.optim import SGD

from cld.evaluation.linear import score_linear_published
from cld.evaluation.protocols import partial_path
from cld.evaluation.semisup.subset import draw_subset, write_subset
from cld.evaluation.semisup.trial import run_trial, weights_path
from cld.runtime.errors import InputError
from cld.training.checkpoint import load_checkpoint

# Processes are forked from a server that has imported PyTorch but never computed with it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["cld.evaluation.linear"])


@pytest.fixture(scope="module")
def subject(tmp_path_factory, tiny_run):
    """A store, a subset, a checkpoint whose run is saved at every step, and one whose run seldom is."""
    folder = tmp_path_factory.mktemp("subject")
    store = write_colours(folder / "s.h5", (30, 25, 20), (2, 2, 2))
    write_subset(folder / "subset.json", draw_subset(store, 0.3, 0.3, seed=0))
    always = write_checkpoint(folder / "always.pt", tiny_run(overrides={"checkpoint_every_s": 0}))
    return store, folder / "subset.json", always


def trial(subject, out, settings=SETTINGS, lr=0.1):
    store, subset, checkpoint = subject
    run_trial(checkpoint, store, subset, settings, lr, 10, out, "cpu")


def linear_published(subject, out, settings=PUBLISHED):
    store, _, checkpoint = subject
    out.write_text(json.dumps(score_linear_published(store, settings, checkpoint, "cpu", score=out)))


def until(work, subject, out, after, number):
    """Work in this process, which sends itself a signal after so many steps of SGD."""
    torch.set_num_threads(1)
    SGD.step = signalling_step(after, number)
    work(subject, out)


def in_process(*arguments):
    process = PROCESSES.Process(target=until, args=arguments)
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize("work", [trial, linear_published])
def test_stopped_and_killed_again_and_again_ends_with_the_same_bits(work, subject, tmp_path):
    outs = [tmp_path / name / "out.json" for name in ("undisturbed", "disturbed")]
    for out in outs:
        out.parent.mkdir()
    assert in_process(work, subject, outs[0], None, None) == 0
    partial, done = partial_path(outs[1]), 0
    for after, number in (
        (2, signal.SIGKILL),  # its second step is lost
        (3, signal.SIGTERM),
        (5, signal.SIGUSR1),  # into the second epoch
        (7, signal.SIGURG),
        (4, signal.SIGINT),
    ):
        status = in_process(work, subject, outs[1], after, number)
        if number == signal.SIGKILL:
            assert status == -number
            done += after - 1
        else:
            assert status == 128 + number
            done += after
        assert load_checkpoint(partial)["step"] == done
        assert not outs[1].exists()
    (partial.parent / ".out.partial.killed.tmp.pt").touch()  # as of a process killed while it wrote
    assert in_process(work, subject, outs[1], None, None) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    if work is trial:
        networks = [load_checkpoint(weights_path(out))["network"] for out in outs]
        assert all(torch.equal(values, networks[1][name]) for name, values in networks[0].items())
        assert {path.name for path in partial.parent.iterdir()} == {"out.json", "out.pt"}
    else:  # the command removes it
        heads = [load_checkpoint(partial_path(out))["trained"] for out in outs]
        assert all(torch.equal(values, heads[1][name]) for name, values in heads[0].items())


def test_a_trial_that_has_diverged_before_it_was_killed_stays_so(subject, tmp_path):
    out = tmp_path / "out.json"

    def killed(*_):
        raise KeyError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyError):
        patch.setattr("cld.evaluation.semisup.trial.logits_of", killed)
        trial(subject, out, lr=1e30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SGD, "step", killed)  # there is nothing left to train
        trial(subject, out, lr=1e30)
    assert json.loads(out.read_text())["diverged"]


def test_what_was_kept_of_another_trial_is_refused(subject, tmp_path):
    out = tmp_path / "out.json"
    assert in_process(trial, subject, out, 2, signal.SIGTERM) == 128 + signal.SIGTERM
    with pytest.raises(
        InputError, match=r"out\.partial\.pt: belongs to another training \(lr 0\.1 there, 0\.2"
    ):
        trial(subject, out, lr=0.2)


def test_a_linear_classifier_that_diverges_leaves_nothing_behind(subject, tmp_path):
    with pytest.raises(InputError, match=r"diverged; lower linear_published\.lr"):
        linear_published(subject, tmp_path / "out.json", {**PUBLISHED, "lr": 1e37})
    assert not list(tmp_path.iterdir())
