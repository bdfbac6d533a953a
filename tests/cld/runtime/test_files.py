"""Atomic writes and one-line errors."""

import errno
import json
import os
import stat
import subprocess
import sys

import pytest

from cld.runtime.errors import InputError, run_command
from cld.runtime.files import atomic_path, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_killed_write_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    script = (
        "import os, signal, sys\nfrom cld.runtime.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.txt")])
    assert killed.returncode < 0
    assert (tmp_path / "a.txt").read_text() == "old"


def test_folders_are_made_and_permissions_follow_the_umask(tmp_path):
    mask = os.umask(0o027)
    try:
        write_json(tmp_path / "b" / "c.json", {"x": 1})
    finally:
        os.umask(mask)
    path = tmp_path / "b" / "c.json"
    assert json.loads(path.read_text()) == {"x": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_input_error_is_one_line_and_exit_status_2(capsys):
    def main():
        raise InputError("a.yaml: fix it")

    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: a.yaml: fix it\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


@pytest.mark.parametrize(
    ("code", "fix"), [(errno.ENOSPC, "free some space"), (errno.EACCES, "make its folder writable")]
)
@pytest.mark.parametrize("as_hdf5", [False, True])
def test_what_keeps_a_file_from_being_written_is_one_line(tmp_path, code, fix, as_hdf5):
    error = OSError(code, os.strerror(code))
    if as_hdf5:  # HDF5's own words, when a file is closed on a full disk
        error = RuntimeError(f"Can't close file (file write failed: errno = {code}, error message = '…')")
    with (
        pytest.raises(InputError, match=rf"a\.txt: cannot be written \({os.strerror(code)}\); {fix}"),
        atomic_path(tmp_path / "a.txt"),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "missing").read_text()
    with pytest.raises(RuntimeError, match="a bug"), atomic_path(tmp_path / "a.txt"):
        raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{'a' * 250}.txt", r"cannot be written \(File name too long\); shorten its name"),
        ("pipe", "pipe: is there and is no file; move it, or name another file"),
        ("file/a.txt", r"file/a\.txt: cannot be written .*move what lies in its place"),
    ],
)
def test_a_place_where_no_file_can_be_is_one_line(tmp_path, name, message):
    os.mkfifo(tmp_path / "pipe")  # stands for a device, such as /dev/null
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message):
        write_text(tmp_path / name, "")
    assert (tmp_path / "pipe").is_fifo() and len(list(tmp_path.iterdir())) == 2


def test_what_an_error_quotes_does_not_break_its_line(capsys):
    def main():
        raise InputError("a\nb\x1b[31m.yaml\udcff: fix it", "0.png", "1\r.png")

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err == "error: a\\nb\\x1b[31m.yaml\\udcff: fix it\n  0.png\n  1\\r.png\n"
