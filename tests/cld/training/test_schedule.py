"""The learning rate against the authors' schedule, and its shape for any settings."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import MultiStepLR

from cld.config import load_run
from cld.training.schedule import LearningRate, pretraining_rate, scale_learning_rates

SETTINGS = {
    "lr": 0.03,
    "epochs": 10,
    "schedule": "cosine",
    "milestones": [6, 8],
    "gamma": 0.1,
    "warmup_epochs": 2,
    "warmup_multiplier": 100,
    "min_lr": 1e-6,
    "cosine_from": "warmup",
    "cosine_at": "step",
}


def test_matches_the_authors_at_every_iteration(golden):
    settings = SETTINGS | {
        "lr": golden["lr_base"],
        "epochs": golden["lr_epochs"],
        "warmup_epochs": golden["lr_warmup_epochs"],
        "warmup_multiplier": golden["lr_warmup_multiplier"],
        "min_lr": golden["lr_eta_min"],
    }
    steps_per_epoch = golden["lr_iters_per_epoch"]
    ours = [
        pretraining_rate(settings, steps_per_epoch).at(step) for step in range(len(golden["lr_per_iter"]))
    ]
    np.testing.assert_allclose(ours, golden["lr_per_iter"], rtol=1e-5)


@given(
    st.sampled_from(["cosine", "step", "constant"]),
    st.integers(1, 12),
    st.integers(0, 14),
    st.floats(1, 1000),
    st.integers(1, 7),
    st.sampled_from(["step", "epoch_start", "epoch_end"]),
)
def test_rises_during_warm_up_then_never_and_stays_in_range(
    schedule, epochs, warmup, multiplier, steps_per_epoch, cosine_at
):
    settings = SETTINGS | {
        "schedule": schedule,
        "epochs": epochs,
        "warmup_epochs": warmup,
        "warmup_multiplier": multiplier,
        "cosine_at": cosine_at,
    }
    rates = np.array(
        [pretraining_rate(settings, steps_per_epoch).at(step) for step in range(epochs * steps_per_epoch)]
    )
    assert (rates <= 0.03 * (1 + 1e-12)).all()
    assert (rates >= 1e-6).all()
    rising, rest = np.split(rates, [min(warmup, epochs) * steps_per_epoch])
    assert (np.diff(rising) >= 0).all()
    assert (np.diff(rest) <= 1e-18).all()
    if len(rest) and warmup < min(settings["milestones"]) and cosine_at != "epoch_end":
        assert rest[0] == pytest.approx(0.03)


def pycontrasts_rate(step, steps_per_epoch, lr, epochs, warm_epochs=5, warmup_from=0.01, decay=0.1):
    """InfoMin's published code, step by step: epochs count from 1, and the warm-up meets the cosine."""
    least = lr * decay**3

    def cosine(epoch):
        return least + (lr - least) * (1 + math.cos(math.pi * epoch / epochs)) / 2

    epoch, batch = step // steps_per_epoch + 1, step % steps_per_epoch
    if epoch > warm_epochs:
        return cosine(epoch)
    done = (batch + (epoch - 1) * steps_per_epoch) / (warm_epochs * steps_per_epoch)
    return warmup_from + done * (cosine(warm_epochs) - warmup_from)


def test_infomins_published_cosine_runs_from_the_start_and_by_the_epoch():
    settings = load_run("paper", "imagenet", "infomin", 0, {"recipe": "published"})["optimiser"]
    ours = [pretraining_rate(settings, 7).at(step) for step in range(7 * settings["epochs"])]
    theirs = [pycontrasts_rate(step, 7, lr=0.2, epochs=100) for step in range(len(ours))]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert ours[-1] == pytest.approx(2e-4)


def test_moco_v2s_published_cosine_has_no_warm_up_and_falls_by_the_epoch():
    settings = load_run("paper", "imagenet", "moco_v2", 0, {"recipe": "published"})["optimiser"]
    ours = [pretraining_rate(settings, 7).at(step) for step in range(7 * settings["epochs"])]
    theirs = [0.2 * 0.5 * (1 + math.cos(math.pi * (step // 7) / 200)) for step in range(len(ours))]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_steps_fall_at_the_milestones():
    rate = pretraining_rate(SETTINGS | {"schedule": "step"}, 5)
    rates = [rate.at(5 * epoch) for epoch in range(10)]
    assert rates[2:] == pytest.approx([0.03] * 4 + [0.003] * 2 + [0.0003] * 2)
    assert rate.at(5 * 6 - 1) == 0.03


def test_constant_without_warm_up_is_the_base_rate_from_the_first_step():
    rate = pretraining_rate(SETTINGS | {"schedule": "constant", "warmup_epochs": 0}, 5)
    assert {rate.at(step) for step in range(50)} == {0.03}


def test_groups_fall_together_as_with_multi_step_lr_and_resume():
    def optimisers():
        groups = [{"params": [torch.zeros(1)], "lr": 0.3}, {"params": [torch.zeros(1)], "lr": 2.0}]
        return SGD(groups, lr=1.0)

    ours, theirs = optimisers(), optimisers()
    rate, decay = LearningRate(1.0, milestones=[6, 8], gamma=0.2), MultiStepLR(theirs, [3, 4], 0.2)
    for step in range(10):  # two steps an epoch
        scale_learning_rates(ours, rate.at(step))
        expected = [group["lr"] for group in theirs.param_groups]
        assert [group["lr"] for group in ours.param_groups] == pytest.approx(expected)
        theirs.step()
        if step % 2:
            decay.step()
    resumed = optimisers()
    resumed.load_state_dict(ours.state_dict())
    scale_learning_rates(resumed, 1.0)
    assert [group["lr"] for group in resumed.param_groups] == [0.3, 2.0]


def test_iterations_warm_up_and_fall_as_detectrons():
    rate = LearningRate(0.02, warmup_steps=100, warmup_start=2e-5, milestones=[6750, 8250], gamma=0.1)
    factors = {0: 1e-3, 50: 0.5005, 99: 0.99001, 100: 1, 6749: 1, 6750: 0.1, 8249: 0.1, 8250: 0.01}
    assert {step: rate.at(step) for step in factors} == pytest.approx(
        {step: 0.02 * factor for step, factor in factors.items()}
    )
