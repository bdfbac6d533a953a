"""Copies on a node's own disk: one per node, complete or not at all, and none where there can be none."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from photos import FACTS

from cld.data import Split, read_info, staging, verify, write_store
from cld.data.staging import VARIABLE, local_copy
from cld.runtime.errors import InputError

COPY = """
import sys
from cld.data.staging import local_copy
print(local_copy(sys.argv[1]))
"""
KILLED_HALF_WAY = """
import os, signal, sys
from cld.data import staging
def copy(store, temporary, size, digest):
    temporary.write_bytes(store.read_bytes()[: size // 2])
    os.kill(os.getpid(), signal.SIGKILL)
staging._copy = copy
staging.local_copy(sys.argv[1])
"""


def write(path, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (40, 100, 100, 3), dtype=np.uint8)
    write_store(path, {"train": Split(images, np.zeros(40, np.int64))}, **FACTS)
    return path


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shared") / "some.h5")


@pytest.fixture
def store(shared_store, tmp_path):
    for name in ("some.h5", "some.h5.sha256"):
        shutil.copy(shared_store.with_name(name), tmp_path)
    return tmp_path / "some.h5"


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """The node's own disk, as CLD_STAGING names it."""
    monkeypatch.setenv("NODE_DISK", str(tmp_path / "disk"))
    monkeypatch.setenv(VARIABLE, "$NODE_DISK/stores")
    return tmp_path / "disk/stores"


def files(disk):
    return [path for path in disk.rglob("*") if path.is_file()]


def assert_read_in_place(store, capsys, reason):
    assert local_copy(store) == store
    said = capsys.readouterr().err
    assert (
        said.startswith(f"{store}: is read where it is, without a copy ({reason}") and said.count("\n") == 1
    )


def test_without_a_folder_a_store_is_read_where_it_is(store, tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    before = set(tmp_path.iterdir())
    assert local_copy(str(store)) == store
    monkeypatch.setenv(VARIABLE, "")
    assert local_copy(store) == store
    assert set(tmp_path.iterdir()) == before


def test_a_copy_is_the_store(store, disk):
    copy = local_copy(store)
    assert copy.is_relative_to(disk)
    assert copy.read_bytes() == store.read_bytes()
    assert read_info(copy) == read_info(store)
    assert files(disk) == [copy]
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    before = copy.stat()  # and is made once
    assert local_copy(store) == copy
    assert (copy.stat().st_ino, copy.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_stores_of_one_name_have_copies_of_their_own(store, disk, tmp_path):
    other = write(tmp_path / "other/some.h5", seed=1)
    copies = [local_copy(path) for path in (store, other)]
    assert [read_info(copy).checksum for copy in copies] == [
        read_info(path).checksum for path in (store, other)
    ]
    assert copies[0] != copies[1]
    write(store, seed=1)  # built again with other images
    assert local_copy(store) == copies[1]


def test_processes_that_start_together_make_one_copy(store, disk):
    command = [sys.executable, "-c", COPY, str(store)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    (copy,) = {out.strip() for out, _ in said}
    assert [str(path) for path in files(disk)] == [copy]
    assert sum("copy some.h5: " in error for _, error in said) == 1
    assert local_copy(store).read_bytes() == store.read_bytes()


def test_a_copy_that_was_killed_half_way_is_made_anew(store, disk):
    killed = subprocess.run([sys.executable, "-c", KILLED_HALF_WAY, str(store)])
    assert killed.returncode == -signal.SIGKILL
    assert len(files(disk)) == 2  # its lock, and half a file
    copy = local_copy(store)
    assert files(disk) == [copy]
    assert copy.read_bytes() == store.read_bytes()


def test_a_copy_that_lost_its_end_is_made_anew(store, disk):
    os.truncate(local_copy(store), 1000)
    assert local_copy(store).read_bytes() == store.read_bytes()


def test_a_damaged_store_is_one_line_and_has_no_copy(store, disk):
    with open(store, "r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"damage")
    with pytest.raises(InputError, match=r"some.h5: its content does not match some.h5.sha256"):
        local_copy(store)
    with pytest.raises(InputError):
        verify(store)
    assert files(disk) == []


def test_a_folder_of_a_variable_that_is_not_set_here(store, monkeypatch, capsys):
    monkeypatch.delenv("SLURM_TMPDIR", raising=False)
    monkeypatch.setenv(VARIABLE, "$SLURM_TMPDIR")
    assert_read_in_place(store, capsys, "$SLURM_TMPDIR is not set here)")


def test_a_store_without_its_checksum(store, disk, capsys):
    store.with_name("some.h5.sha256").unlink()
    assert_read_in_place(store, capsys, "[Errno 2] No such file")


def test_too_little_room(store, disk, capsys, monkeypatch):
    free = staging.SPARE_BYTES + store.stat().st_size - 1
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(free, 0, free))
    assert_read_in_place(store, capsys, "1.0 GB are needed in ")
    assert files(disk) == []


def test_a_disk_that_fills_up_while_the_copy_is_made(store, disk, capsys, monkeypatch):
    def fill_up(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(staging, "_copy", fill_up)
    assert_read_in_place(store, capsys, "")
    assert files(disk) == []


def test_a_folder_that_someone_else_made_in_advance(store, disk, capsys, monkeypatch):
    own = disk / "cld-12345"
    own.mkdir(parents=True)
    monkeypatch.setattr(staging.os, "getuid", lambda: 12345)
    assert_read_in_place(store, capsys, f"{own}: belongs to another user")


def test_a_missing_store_is_left_to_its_reader(disk, tmp_path):
    assert local_copy(tmp_path / "none.h5") == tmp_path / "none.h5"
