import pytest
from classifier_stores import write_checkpoint


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory, tiny_run) -> str:
    """A run on ``tiny_store`` before its first step, of seed 2."""
    return str(write_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint.pt", tiny_run(seed=2)))
