"""Runs that the real trainer has trained and stopped."""

import signal

import pytest
from status_results import Results, wait_for


@pytest.fixture
def results(tmp_path) -> Results:
    return Results(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, tiny_run, tiny_store) -> Results:
    """One run trained to its end, one stopped by SIGTERM after at least an epoch; tests leave them alone."""
    made = Results(tmp_path_factory.mktemp("trained"))
    done = made.add(tiny_run())
    assert made.start(done, tiny_store).wait() == 0, made.log(done).read_text()
    stopped = made.add(tiny_run(overrides={"optimiser.epochs": 5000, "checkpoint_every_s": 60}))
    process = made.start(stopped, tiny_store)
    wait_for(lambda: (made.folder(stopped) / "log.csv").read_text().count("\n") > 2, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    return made
