"""Signals that end work early."""

import os
import signal

import pytest

from cld.runtime.signals import STOPPING, ended_by_signals, stop_signal


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_held_back_and_reported(number):
    before = signal.getsignal(number)
    with stop_signal() as stopped_by:
        assert stopped_by() is None
        send(number)
        assert stopped_by() == number
        if number == signal.SIGINT:  # a second one is not
            assert signal.getsignal(number) == before
        else:
            send(number)
    assert signal.getsignal(number) == before


def test_under_torchrun_a_second_one_is_held_back_too(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with stop_signal() as stopped_by:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):
            send(number)
        assert stopped_by() == signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGURG])
def test_where_nothing_needs_saving_a_schedulers_signals_end_the_process(number):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, ended_by_signals():
        with stop_signal() as stopped_by:
            send(number)
        assert stopped_by() == number
        send(number)
    assert ended.value.code == 128 + number
    assert signal.getsignal(number) == before


def test_ctrl_c_stays_what_it_is():
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        send(signal.SIGINT)
