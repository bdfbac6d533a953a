"""Verification finds any flipped byte, and the command tells about every store it is given."""

import fcntl
import re
import subprocess
import sys
from contextlib import suppress

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cld.__main__ import dispatch
from cld.data import EncodedImages, read_info, read_labels, verification, verify
from cld.data.verification import require_whole
from cld.runtime.errors import InputError


@pytest.fixture(params=["array_store", "jpeg_store"])
def store(request):
    return request.getfixturevalue(request.param)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 0x10
    path.write_bytes(content)


def test_a_whole_store_is_whole(store):
    assert verify(store).startswith(f"{store}: whole (")


@given(position=st.integers(0, 10**9))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_byte_is_found(store, position):
    good = store.read_bytes()
    flip(store, position)
    try:
        with pytest.raises(InputError, match=r"build (it|the store) again"):
            verify(store)
    finally:
        store.write_bytes(good)


@pytest.mark.parametrize("command", ["evaluate chance", "card", "semisup subset"])
def test_a_job_checks_the_store_that_it_opens(array_store, tmp_path, monkeypatch, capsys, command):
    arguments = {
        "evaluate chance": ["--preset", "demo", "--score", "out.json"],
        "card": ["--card", "card.md", "--figure", "card.png"],
        "semisup subset": ["--preset", "demo", "--share", "0.5", "--out", "out.json"],
    }[command]
    monkeypatch.chdir(tmp_path)

    def run():
        call = ["cld", *command.split(), "--store", str(array_store), *arguments]
        monkeypatch.setattr(sys, "argv", call)
        dispatch()

    with suppress(InputError):  # semisup: the store lacks a class
        run()
    assert f"{array_store}: is whole" in capsys.readouterr().out
    flip(array_store, 3)
    told = re.escape(f"{array_store}: damaged (its SHA-256 is not that of") + ".*build the store again"
    with pytest.raises(InputError, match=told):
        run()


def test_of_a_large_store_each_image_is_checked_when_it_is_read(jpeg_store, monkeypatch, capsys):
    images = EncodedImages(jpeg_store, "train")
    with h5py.File(jpeg_store) as opened:
        place = opened["train/jpeg"].id.get_offset() + int(opened["train/offsets"][4]) + 30
    monkeypatch.setattr(verification, "WHOLE_BYTES", 100)
    flip(jpeg_store, place)
    require_whole(jpeg_store)
    assert "is checked image by image" in capsys.readouterr().out
    assert images[3]
    with pytest.raises(InputError, match=r"image 4 is damaged \(its SHA-256 differs\)"):
        images[4]


def test_damaged_labels_are_not_read(jpeg_store):
    with h5py.File(jpeg_store) as opened:
        place = opened["train/labels"].id.get_offset()
    flip(jpeg_store, place)
    for read in (read_labels, EncodedImages):
        with pytest.raises(InputError, match="train/labels is damaged"):
            read(jpeg_store, "train")


def test_no_lock_is_taken_which_some_file_systems_do_not_have(store):
    with open(store, "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # HDF5's own would fail, as it does where there are none
        assert read_info(store).sizes["train"] and len(read_labels(store, "test"))


@pytest.mark.parametrize("with_sidecar", [True, False])
def test_damaged_content_is_named(store, with_sidecar):
    with h5py.File(store) as opened:
        kind = "images" if "images" in opened["test"] else "jpeg"
        place = opened[f"test/{kind}"].id.get_offset()
    if not with_sidecar:
        store.with_name(f"{store.name}.sha256").unlink()
    flip(store, place + 5)
    where = {"images": "its SHA-256 differs", "jpeg": "the SHA-256 of image 0 differs"}[kind]
    with pytest.raises(InputError, match=rf"test/{kind} is damaged \({where}\)"):
        verify(store)


def test_without_its_sidecar_the_content_is_still_checked_and_the_answer_says_so(store):
    store.with_name(f"{store.name}.sha256").unlink()
    assert "the rest is not checked" in verify(store)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"0" * 64])
def test_a_damaged_sidecar_is_told(store, content):
    store.with_name(f"{store.name}.sha256").write_bytes(content)
    with pytest.raises(InputError, match=r"damaged outside its images and labels"):
        verify(store)


def test_the_command_looks_at_every_store(array_store, jpeg_store, tmp_path):
    with h5py.File(array_store, "r+") as opened:
        opened["test/images"][0] = np.uint8(7)
    command = [sys.executable, "-m", "cld", "verify", array_store, jpeg_store, tmp_path / "none.h5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{jpeg_store}: whole" in done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert "test/images is damaged" in errors[0] and "none.h5: no such store" in errors[1]


def test_info_prints_what_a_store_says_of_itself(array_store):
    done = subprocess.run(
        [sys.executable, "-m", "cld", "verify", "--info", array_store],
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"classes": [' in done.stdout and '"unlabelled": 4' in done.stdout
