"""Atomic writes, one-line errors and progress in a log file."""

import errno
import json
import os
import stat
import subprocess
import sys

import pytest

from cld.runtime.errors import InputError, run_command
from cld.runtime.files import atomic_path, write_json, write_text
from cld.runtime.progress import progress


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


def test_progress_in_a_log_file_is_plain_lines(capsys, monkeypatch):
    monkeypatch.setattr("cld.runtime.progress.INTERVAL_S", 0)
    with progress("frames", 4, "frames", done=1) as bar:
        bar.advance()
        bar.advance(2, note="scene 3")
    lines = capsys.readouterr().err.splitlines()
    counts = [line.split(" (")[0] for line in lines]
    assert counts == ["frames: 2/4 frames", "frames: 4/4 frames", "frames: 4/4 frames"]
    assert lines[-1].endswith("scene 3")
    assert "\r" not in "".join(lines)


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


def test_a_name_that_is_too_long_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"cannot be written \(File name too long\); shorten its name"):
        write_text(tmp_path / f"{'a' * 250}.txt", "")


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # stands for a device, such as /dev/null
    with pytest.raises(InputError, match="pipe: is there and is no file; move it, or name another file"):
        write_text(tmp_path / "pipe", "")
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/a\.txt: cannot be written .*move what lies in its place"):
        write_text(tmp_path / "file" / "a.txt", "")


def test_what_an_error_quotes_does_not_break_its_line(capsys):
    def main():
        raise InputError("a\nb\x1b[31m.yaml\udcff: fix it", "0.png", "1\r.png")

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err == "error: a\\nb\\x1b[31m.yaml\\udcff: fix it\n  0.png\n  1\\r.png\n"
