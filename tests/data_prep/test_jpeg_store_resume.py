"""Builds of JPEG stores that are killed: what is done is kept, and the store is the same to the byte."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jpeg_sources
import pytest
from jpeg_sources import build

from cld.data import EncodedImages
from cld.runtime.errors import InputError
from data_prep.common import jpeg_store
from data_prep.common.jpeg_encoding import Encoding

pytestmark = pytest.mark.faults

COMMAND = [sys.executable, jpeg_sources.__file__]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(jpeg_store.__file__).parents[2])}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Nine parts and a bit."""
    return jpeg_sources.write_images(tmp_path_factory.mktemp("upstream") / "images", 2400, 160, 120)


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    """The store's bytes when nothing happens."""
    store = tmp_path_factory.mktemp("whole") / "toy.h5"
    build(root, store)
    return store.read_bytes()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Six images in three parts."""
    monkeypatch.setattr(jpeg_store, "PART_IMAGES", 2)
    return jpeg_sources.write_images(tmp_path / "small", 6)


@pytest.fixture
def made(monkeypatch):
    """Names of the parts that a build really makes, as it makes them."""
    names = []
    as_written = jpeg_store.write_text

    def write(path, text):
        names.append(path.stem)
        as_written(path, text)

    monkeypatch.setattr(jpeg_store, "write_text", write)
    return names


@pytest.fixture
def store(tmp_path):
    return tmp_path / "out" / "toy.h5"


def finished(store):
    """Files of the parts that are done, with their times."""
    indices = Path(f"{store}.parts").glob("*.json")
    return {path.name: path.stat().st_mtime_ns for path in indices if not path.name.startswith(".")}


def wait_for_parts(process, store, n):
    while len(finished(store)) < n:
        assert process.poll() is None, "ended before"
        time.sleep(0.001)


def test_a_killed_build_is_resumed_and_ends_with_the_same_bytes(root, store, undisturbed, made):
    process = subprocess.Popen([*COMMAND, root, store, "2"], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    wait_for_parts(process, store, 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not store.exists()
    time.sleep(0.5)  # workers end with their parent
    before = finished(store)
    assert 3 <= len(before) < 10
    build(root, store)
    assert sorted([*made, *(Path(name).stem for name in before)]) == [f"train-{n:05d}" for n in range(10)]
    assert store.read_bytes() == undisturbed
    assert {path.suffix for path in store.parent.iterdir()} == {".h5", ".sha256", ".csv", ".md", ".json"}


def interrupted(root, store, monkeypatch, **changes):
    """A build that ends before its store is written; its parts stay."""

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(jpeg_store, "write_encoded_store", stop)
        build(root, store, **changes)


def parts(store):
    return Path(f"{store}.parts")


SPOIL = {
    "an image of another time": lambda root, store: os.utime(root / "0002.JPEG", ns=(0, 0)),
    "another image": lambda root, store: shutil.copy(root / "0001.JPEG", root / "0002.JPEG"),
    "an image renamed": lambda root, store: (root / "0002.JPEG").rename(root / "0002x.JPEG"),
    "a part cut short": lambda root, store: os.truncate(parts(store) / "train-00001.jpegs", 10),
    "a part lost": lambda root, store: (parts(store) / "train-00001.jpegs").unlink(),
    "an index cut short": lambda root, store: os.truncate(parts(store) / "train-00001.json", 100),
    "an index of something else": lambda root, store: (parts(store) / "train-00001.json").write_text("[1]"),
}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL)
def test_only_parts_that_have_changed_are_made_again(small, store, made, monkeypatch, spoil):
    interrupted(small, store, monkeypatch)
    made.clear()
    (parts(store) / ".train-00001.x1y2z3.tmp.jpegs").touch()  # what a kill leaves
    spoil(small, store)
    build(small, store)
    assert made == ["train-00001"]
    images = EncodedImages(store, "train")
    assert [images[i] for i in range(6)] == [path.read_bytes() for path in sorted(small.iterdir())]
    assert not parts(store).exists()


def test_other_settings_and_other_code_make_every_part_again(small, store, made, monkeypatch):
    interrupted(small, store, monkeypatch)
    interrupted(small, store, monkeypatch, encoding=Encoding(short_side=20))
    assert len(made) == 6
    monkeypatch.setattr(jpeg_store, "VERSION", -1)
    build(small, store, encoding=Encoding(short_side=20))
    assert len(made) == 9


def test_a_fixed_image_is_found_though_its_size_and_time_are_the_same(small, store, made):
    broken, whole = small / "0003.JPEG", (small / "0003.JPEG").read_bytes()
    broken.write_bytes(bytes(len(whole)))
    os.utime(broken, ns=(1, 1))
    with pytest.raises(InputError, match=r"1 of 6 images are bad"):
        build(small, store)
    made.clear()
    broken.write_bytes(whole)
    os.utime(broken, ns=(1, 1))
    build(small, store)
    assert made == ["train-00001"]
