from collections.abc import Iterator

import pytest
from tiny_world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Iterator[World]:
    """Sources, stores, and a run whose evaluations save their state at every step."""
    made = World(tmp_path_factory.mktemp("world"))
    with made.entered():
        made.build("checkpoint_every_s=0")
    return made
