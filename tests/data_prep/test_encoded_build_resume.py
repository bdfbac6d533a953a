import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jpeg_sources
import pytest
from jpeg_sources import build, objects

from cld.data import EncodedImages
from cld.runtime.errors import InputError
from data_prep.common import encoded_build, parts
from data_prep.common.jpeg_store import Encoding
from data_prep.common.lock import only_build

COMMAND = [sys.executable, jpeg_sources.__file__]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(encoded_build.__file__).parents[2])}


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
    monkeypatch.setattr(encoded_build, "PART_IMAGES", 2)
    return jpeg_sources.write_images(tmp_path / "small", 6)


@pytest.fixture
def made(monkeypatch):
    """Names of the parts that a build really makes, as it makes them."""
    names = []
    as_written = parts.write_text

    def write(path, text):
        names.append(path.stem)
        as_written(path, text)

    monkeypatch.setattr(parts, "write_text", write)
    return names


@pytest.fixture
def store(tmp_path):
    return tmp_path / "out" / "toy.h5"


def finished(store):
    """Files of the parts that are done, with their times."""
    indices = Path(f"{store}.parts").glob("*.json")
    return {path.name: path.stat().st_mtime_ns for path in indices if not path.name.startswith(".")}


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(root, store, undisturbed, made, monkeypatch):
    build_process = subprocess.Popen([*COMMAND, root, store, "2"], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(finished(store)) < 3 and build_process.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    build_process.send_signal(signal.SIGKILL)
    build_process.wait()
    assert not store.exists()
    time.sleep(0.5)  # workers end with their parent
    before = finished(store)
    assert 3 <= len(before) < 10

    at_the_end = {}
    joined = encoded_build._joined

    def join(*args):
        at_the_end.update(finished(store))
        return joined(*args)

    monkeypatch.setattr(encoded_build, "_joined", join)
    build(root, store)
    assert len(at_the_end) == 10
    assert {name: at_the_end[name] for name in before} == before
    assert len(made) == 10 - len(before)
    assert store.read_bytes() == undisturbed
    assert {path.suffix for path in store.parent.iterdir()} == {".h5", ".sha256", ".csv", ".md", ".json"}


def test_the_number_of_processes_does_not_matter(root, store, undisturbed):
    build(root, store, workers=2)
    assert store.read_bytes() == undisturbed


def interrupted(root, store, monkeypatch, **changes):
    """A build that ends before its store is written; its parts stay."""

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(encoded_build, "write_encoded_store", stop)
        build(root, store, **changes)


def spoil_time(root, store):
    os.utime(root / "0002.JPEG", ns=(0, 0))


def spoil_size(root, store):
    shutil.copy(root / "0001.JPEG", root / "0002.JPEG")


def spoil_name(root, store):
    (root / "0002.JPEG").rename(root / "0002x.JPEG")


def spoil_part(root, store):
    os.truncate(Path(f"{store}.parts") / "train-00001.jpegs", 10)


def flip_a_bit(root, store):
    part = Path(f"{store}.parts") / "train-00001.jpegs"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)


def spoil_index(root, store):
    os.truncate(Path(f"{store}.parts") / "train-00001.json", 100)


def lose_part(root, store):
    (Path(f"{store}.parts") / "train-00001.jpegs").unlink()


@pytest.mark.parametrize(
    "spoil", [spoil_time, spoil_size, spoil_name, spoil_part, flip_a_bit, spoil_index, lose_part]
)
def test_only_parts_that_have_changed_are_made_again(small, store, made, monkeypatch, spoil):
    interrupted(small, store, monkeypatch)
    made.clear()
    spoil(small, store)
    build(small, store)
    assert made == ["train-00001"]
    images = EncodedImages(store, "train")
    assert [images[i] for i in range(6)] == [path.read_bytes() for path in sorted(small.iterdir())]


def test_other_settings_make_every_part_again(small, store, made, monkeypatch):
    interrupted(small, store, monkeypatch)
    made.clear()
    build(small, store, encoding=Encoding(short_side=20))
    assert len(made) == 3


def test_another_version_of_the_code_makes_every_part_again(small, store, made, monkeypatch):
    interrupted(small, store, monkeypatch)
    made.clear()
    monkeypatch.setattr(parts, "VERSION", -1)
    build(small, store)
    assert len(made) == 3


def test_a_mended_image_is_found_though_its_size_and_time_are_the_same(small, store, made):
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


def test_a_killed_builds_half_store_is_removed(small, store):
    store.parent.mkdir()
    (store.parent / ".toy.x1y2z3.tmp.h5").touch()
    (store.parent / ".toy.other.x1y2z3.tmp.h5").touch()
    build(small, store)
    assert [path.name for path in store.parent.glob(".*")] == [".toy.other.x1y2z3.tmp.h5"]


def test_a_killed_builds_half_parts_are_removed(small, store, monkeypatch):
    interrupted(small, store, monkeypatch)
    folder = store.with_name("toy.h5.parts")
    (folder / ".train-00001.x1y2z3.tmp.jpegs").touch()
    seen = []
    monkeypatch.setattr(encoded_build, "_require_space", lambda *_: seen.extend(folder.glob(".*")))
    build(small, store)
    assert seen == []


def test_two_builds_at_once(small, store):
    with only_build(store), pytest.raises(InputError, match=r"process \d+ of .* is building it now"):
        build(small, store)


def test_two_processes_that_build_the_same_store(root, store, undisturbed):
    command = [*COMMAND, root, store, "1"]
    first = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not finished(store):
        assert first.poll() is None and time.monotonic() < until
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    second = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    first.send_signal(signal.SIGCONT)
    assert second.returncode != 0
    assert f"process {first.pid} of {os.uname().nodename} is building it now; wait for it" in second.stderr
    assert first.wait(120) == 0
    assert store.read_bytes() == undisturbed


def test_too_little_room(small, store, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(
        InputError, match=r"out: needs about .* GB of room, .* and 0.00 GB are free; free some"
    ):
        build(small, store)


def test_parts_that_are_done_need_no_more_room(small, store, monkeypatch):
    interrupted(small, store, monkeypatch)
    size = sum(path.stat().st_size for path in small.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, size))
    build(small, store)


@pytest.mark.parametrize("place", ["part", "store", "closing the store"])
def test_a_disk_that_fills_up(small, store, monkeypatch, place):
    def full(*args, **kwargs):
        if place == "closing the store":
            raise RuntimeError(
                "Unable to flush file (errno = 28,\n error message = 'No space left on device')"
            )
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(InputError) as caught:
        patch.setattr(
            *((parts, "write_text") if place == "part" else (encoded_build, "write_encoded_store")), full
        )
        build(small, store)
    assert "\n" not in str(caught.value)
    assert f"{store}: cannot be written (" in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert not store.exists()
    build(small, store)


def test_other_objects_make_every_part_again(small, store, made, monkeypatch):
    def images(side):
        return {"train": jpeg_sources.sources(small, objects=objects([[0, 0, side, side]]))}

    interrupted(small, store, monkeypatch, images=images(10))
    made.clear()
    build(small, store, images=images(12))
    assert len(made) == 3
    assert EncodedImages(store, "train").objects.boxes[:, 2].tolist() == [12] * 6


def test_errors_are_one_line_for_a_command(tmp_path, store):
    (tmp_path / "empty").mkdir()
    run = subprocess.run(
        [*COMMAND, tmp_path / "empty", store, "1"], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: ")
    assert "Traceback" not in run.stderr
