"""The learning rate against the authors' schedule, and its shape for any settings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cld.training.schedule import learning_rate

SETTINGS = {
    "lr": 0.03,
    "epochs": 10,
    "schedule": "cosine",
    "milestones": [6, 8],
    "gamma": 0.1,
    "warmup_epochs": 2,
    "warmup_multiplier": 100,
    "min_lr": 1e-6,
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
    ours = [learning_rate(step, steps_per_epoch, settings) for step in range(len(golden["lr_per_iter"]))]
    np.testing.assert_allclose(ours, golden["lr_per_iter"], rtol=1e-5)


@given(
    st.sampled_from(["cosine", "step", "constant"]),
    st.integers(1, 12),
    st.integers(0, 14),
    st.floats(1, 1000),
    st.integers(1, 7),
)
def test_rises_during_warm_up_then_never_and_stays_in_range(
    schedule, epochs, warmup, multiplier, steps_per_epoch
):
    settings = SETTINGS | {
        "schedule": schedule,
        "epochs": epochs,
        "warmup_epochs": warmup,
        "warmup_multiplier": multiplier,
    }
    rates = np.array(
        [learning_rate(step, steps_per_epoch, settings) for step in range(epochs * steps_per_epoch)]
    )
    assert (rates <= 0.03 * (1 + 1e-12)).all()
    assert (rates >= 1e-6).all()
    rising, rest = np.split(rates, [min(warmup, epochs) * steps_per_epoch])
    assert (np.diff(rising) >= 0).all()
    assert (np.diff(rest) <= 1e-18).all()
    if len(rest) and warmup < min(settings["milestones"]):
        assert rest[0] == pytest.approx(0.03)


def test_steps_fall_at_the_milestones():
    settings = SETTINGS | {"schedule": "step"}
    rates = [learning_rate(5 * epoch, 5, settings) for epoch in range(10)]
    assert rates[2:] == pytest.approx([0.03] * 4 + [0.003] * 2 + [0.0003] * 2)
    assert learning_rate(5 * 6 - 1, 5, settings) == 0.03


def test_constant_without_warm_up_is_the_base_rate_from_the_first_step():
    settings = SETTINGS | {"schedule": "constant", "warmup_epochs": 0}
    assert {learning_rate(step, 5, settings) for step in range(50)} == {0.03}
