import shutil

import pytest
import toy_kitchen as toy

from data_prep.common.build_record import Target
from data_prep.common.settings import settings_from


@pytest.fixture(scope="session", name="toy_kitchen")
def _toy_kitchen(tmp_path_factory):
    """The toy kitchen, for tests that do not change it."""
    root = tmp_path_factory.mktemp("upstream") / "GMU_Kitchens"
    toy.write_kitchen(root)
    return root


@pytest.fixture
def kitchen(toy_kitchen, tmp_path):
    """A fresh copy of the toy kitchen: a test may spoil it."""
    return shutil.copytree(toy_kitchen, tmp_path / "GMU_Kitchens")


@pytest.fixture
def toy_settings():
    """Settings for the toy kitchen's three scenes and two classes, with changes."""

    def settings(**changes):
        defaults = {
            "image_size": 16,
            "classes": [toy.COLA, toy.BULL],
            "scenes": [1, 2, 3],
            "test_scenes": [2],
            "val_share": 0.2,
            "val_blocks": 1,
        }
        return settings_from("build/kitchen", defaults | changes, "build settings")

    return settings


@pytest.fixture
def no_decoding(monkeypatch):
    """A kitchen build that opens an image to cut it out fails."""

    def fail(path):
        raise AssertionError(f"{path} was opened")

    for builder in ("build_from_folder", "frame_crops"):
        monkeypatch.setattr(f"data_prep.kitchen.{builder}.EncodedImage", fail)


@pytest.fixture
def target(tmp_path):
    """Where a test's build writes."""
    folder = tmp_path / "out"
    return Target(folder / "s.h5", folder / "s.csv", folder / "s.md", "kitchen_hc", "demo")
