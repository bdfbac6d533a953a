"""Fetching a source: what is there already, downloads from a server that misbehaves, archives, and advice."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import fetch_sources
import pytest
import yaml
from misbehaving_server import running_server

from cld.config import CONFIG, load_source
from cld.runtime.errors import InputError
from data_prep.fetch import download
from data_prep.fetch.fetch_command import fetch_source

NOWHERE = "http://127.0.0.1:1"  # any request fails
CONTENT = os.urandom(600_000)
ARCHIVE = fetch_sources.tar_bytes({"toy/a": CONTENT, "toy/b": b"b"}, "w")
FILE = "toy.tar"


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch):
    for name, value in {"TIMEOUT_S": 0.3, "RETRIES": 2, "PAUSE_S": 0.01}.items():
        monkeypatch.setattr(download, name, value)


@pytest.fixture
def server():
    with running_server() as server:
        server.files[FILE] = ARCHIVE
        yield server


@pytest.fixture
def source(server):
    return fetch_sources.source(server.address, {FILE: ARCHIVE}, {"toy/a": CONTENT, "toy/b": None})


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "toy"
    root.mkdir()
    return root


def assert_whole(root):
    assert (root / "toy/a").read_bytes() == CONTENT
    assert {path.name for path in root.iterdir()} == {"toy", FILE}


def tree(root):
    """Everything under ``root``: contents and times of change."""
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
    }


# what is there already


def test_files_that_are_there_are_verified_and_nothing_is_written(root):
    (root / "a").write_bytes(b"a")
    before = tree(root)
    source = fetch_sources.source(NOWHERE, {FILE: b""}, {"a": b"a"})
    assert fetch_source("toy", source, root) == fetch_source("toy", source, root)
    assert tree(root) == before


@pytest.mark.parametrize("path", ["a", FILE])
def test_wrong_checksum_of_what_is_there_is_named(root, path):
    source = fetch_sources.source(NOWHERE, {FILE: b"right"}, {"a": b"right"})
    (root / path).write_bytes(b"wrong")
    with pytest.raises(InputError) as raised:
        fetch_source("toy", source, root)
    fix = "check_md5: false in config/sources/toy.yaml"
    md5s = [hashlib.md5(content).hexdigest() for content in (b"wrong", b"right")]
    for part in (str(root / path), fix, *md5s):
        assert part in str(raised.value)
    assert (root / path).read_bytes() == b"wrong"


def test_files_that_are_not_the_publishers_are_taken_if_the_source_says_so(server, source, root):
    source["check_md5"] = False
    server.files[FILE] = fetch_sources.tar_bytes({"toy/a": b"another", "toy/b": b"b"}, "w")
    for _ in range(2):  # as they come, and as they lie there
        receipt = fetch_source("toy", source, root)
        assert receipt["files"][0] == {"path": "toy/a", "size": 7, "md5": None}


def refusing(number):
    """Something that may not be done. The superuser may do everything, so the refusal is played."""

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_file_that_cannot_be_read_is_named(root, monkeypatch):
    (root / "a").write_bytes(b"a")
    monkeypatch.setattr("data_prep.fetch.source_folder.md5_of", refusing(errno.EACCES))
    with pytest.raises(InputError, match=r"toy/a: cannot be read \(Permission denied\); fix the permissions"):
        fetch_source("toy", fetch_sources.source(NOWHERE, {FILE: b""}, {"a": b"a"}), root)


def test_the_first_complete_alternative_counts(root):
    for name in ("train", "val"):
        (root / name / "n01").mkdir(parents=True)
        (root / name / "n01" / "1.JPEG").touch()
    own = fetch_source("folder", load_source("paper", "folder"), root)  # is taken as it is
    assert own["files"] == [{"path": ".", "files": 2}]
    (root / "train" / ".hidden").touch()
    (root / "train" / "n01" / "loop").symlink_to(root / "train")
    receipt = fetch_source("imagenet", load_source("paper", "imagenet"), root)
    assert receipt["alternative"] == ["train", "val"]
    assert receipt["files"] == [{"path": "train", "files": 1}, {"path": "val", "files": 1}]


def test_files_to_get_by_hand_are_described(tmp_path):
    root = tmp_path / "imagenet"
    (root / "train").mkdir(parents=True)
    with pytest.raises(InputError) as raised:
        fetch_source("imagenet", load_source("paper", "imagenet"), root)
    first, *alternatives = str(raised.value).splitlines()
    for part in (f"{root}: ", "https://image-net.org", "data.paths.imagenet", "(or data.root", "config.yaml"):
        assert part in first
    assert alternatives[0].endswith("ILSVRC2012_img_val.tar, ILSVRC2012_devkit_t12.tar.gz")
    assert alternatives[1:] == ["  alternative 2: looked for train, val; missing: val"]
    assert list(root.iterdir()) == [root / "train"]


# downloads


def test_a_good_server_is_asked_once_and_never_again(server, source, root):
    receipt = fetch_source("toy", source, root)
    assert_whole(root)
    assert server.requests == [(f"/{FILE}", None)]
    assert receipt["files"] == [
        {"path": "toy/a", "size": len(CONTENT), "md5": hashlib.md5(CONTENT).hexdigest()},
        {"path": "toy/b", "size": 1, "md5": None},
    ]
    assert fetch_source("toy", source, root) == receipt
    assert len(server.requests) == 1


def test_a_break_is_resumed_where_it_was_and_a_complete_part_is_not_fetched_again(server, source, root):
    server.plan += ["stall", 503, "truncate", 429]
    fetch_source("toy", source, root)
    assert_whole(root)
    assert all(asked is not None for _, asked in server.requests[1:])
    # a break costs at most what was being read
    assert server.sent <= len(ARCHIVE) + 2 * download.CHUNK
    assert len(server.requests) == 5
    shutil.rmtree(root / "toy")
    (root / FILE).rename(root / f"{FILE}.part")
    sent = server.sent
    fetch_source("toy", source, root)
    assert_whole(root)
    assert server.sent == sent


def test_a_server_without_ranges_starts_over_and_a_mirror_replaces_all_before_the_name(server, source, root):
    server.plan += ["truncate", "no_range"]
    source["archives"][0]["url"] = f"{NOWHERE}/nowhere/{FILE}"
    fetch_source("toy", source, root, mirror=f"{server.address}/some/where/")
    assert_whole(root)
    assert server.requests[0] == (f"/some/where/{FILE}", None)


def test_tries_that_bring_nothing_new_end(server, source, root, monkeypatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    server.plan += ["stuck"] * 9  # each answer ends at the same place
    with pytest.raises(InputError, match=r"after 3 failed tries; run again to resume after .*data\.mirror"):
        fetch_source("toy", source, root)
    assert pauses == [0.01, 0.02]
    assert (root / f"{FILE}.part").stat().st_size > 0


def test_a_refusal_ends_at_once(server, source, root):
    server.plan += [404]
    with pytest.raises(InputError) as raised:
        fetch_source("toy", source, root)
    message = str(raised.value)
    assert "\n" not in message
    for part in (f"{server.address}/{FILE}", "404", "data.mirror in config/config.yaml", str(root / FILE)):
        assert part in message
    assert len(server.requests) == 1


@pytest.mark.parametrize("part", [b"", bytes(1000)], ids=["corrupt", "a part of another version"])
def test_a_wrong_checksum_is_named_and_the_next_try_starts_over(server, source, root, part):
    server.plan += ["good" if part else "corrupt"]
    (root / f"{FILE}.part").write_bytes(part)
    with pytest.raises(InputError) as raised:
        fetch_source("toy", source, root)
    bad = hashlib.md5(part + ARCHIVE[len(part) :] if part else bytes([ARCHIVE[0] ^ 1]) + ARCHIVE[1:])
    for text in (FILE, bad.hexdigest(), hashlib.md5(ARCHIVE).hexdigest()):
        assert text in str(raised.value)
    assert not list(root.iterdir())
    fetch_source("toy", source, root)
    assert_whole(root)


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ("nonsense", r"cannot be fetched .*data\.mirror"),
        ("ftp://nowhere", r"cannot be fetched .*data\.mirror"),
        (NOWHERE, r"^http://127.0.0.1:1/toy.tar: .*Connection refused, after 3 failed tries"),
    ],
)
def test_a_mirror_that_is_not_there_is_named(source, root, mirror, message):
    with pytest.raises(InputError, match=message):
        fetch_source("toy", source, root, mirror=mirror)


def test_a_full_disk_is_one_line(source, root, monkeypatch):
    monkeypatch.setattr("data_prep.fetch.download.progress", refusing(errno.ENOSPC))
    with pytest.raises(InputError, match=r"/toy\.tar\.part: cannot be written \(No space left") as raised:
        fetch_source("toy", source, root)
    assert "\n" not in str(raised.value)


# archives


def with_archives(root, archives, expects):
    """A source whose archives lie in ``root`` already."""
    for name, content in archives.items():
        (root / name).write_bytes(content)
    return fetch_sources.source(NOWHERE, archives, expects)


def test_archives_that_are_there_are_unpacked_side_by_side(root):
    archives = {
        "1.tar": fetch_sources.tar_bytes({"d/x/1": b"1", "d/both": b"same"}, "w"),
        "2.tar.gz": fetch_sources.tar_bytes({"./d/x/2": b"2", "d/both": b"same"}),
    }
    source = with_archives(root, archives, {"d/x/1": b"1", "d/x": None, "d/x/2": b"2"})
    assert fetch_source("toy", source, root)["files"][1] == {"path": "d/x", "files": 2}
    assert (root / "d/both").read_bytes() == b"same"
    assert {path.name for path in root.iterdir()} == {*archives, "d"}
    source["expects"] = [{"d/x": None, "b": None}]
    with pytest.raises(InputError, match=r"b missing, also after .*config/sources/toy\.yaml"):
        fetch_source("toy", source, root)


def test_only_the_archive_of_what_is_missing_is_fetched(server, root, capsys):
    archives = {f"{n}.tar": fetch_sources.tar_bytes({f"d/{n}": b"", "d/both": b""}, "w") for n in (1, 2, 3)}
    source = fetch_sources.source(server.address, archives, {f"d/{n}": b"" for n in (1, 2, 3)})
    for n, archive in enumerate(source["archives"], start=1):
        archive["holds"] = [f"d/{n}"]
    server.files["2.tar"] = archives["2.tar"]
    (root / "d").mkdir()
    for n in (1, 3):
        (root / f"d/{n}").touch()
    fetch_source("toy", source, root)
    assert server.requests == [("/2.tar", None)]
    assert f"{root}: fetching 2.tar for d/2\n" in capsys.readouterr().err


def link(target):
    member = tarfile.TarInfo("bad")
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (fetch_sources.tar_bytes({"a": b"a", "../x": b"x"}), "outside the destination"),
        (fetch_sources.tar_bytes({"a": b"a", "bad": link("/etc")}), "absolute path"),
        (fetch_sources.tar_bytes({"a": bytes(2000)}, "w")[:700], ""),
        (fetch_sources.tar_bytes({"a": os.urandom(2000)})[:700], ""),
        (b"", ""),
    ],
    ids=["file outside", "link outside", "cut short", "cut short, compressed", "empty"],
)
def test_an_archive_that_is_broken_or_would_leave_the_folder_is_refused(root, content, message):
    source = with_archives(root, {FILE: content}, {"a": None, "b": None})
    with pytest.raises(InputError, match=rf"/toy\.tar: cannot be unpacked \(.*{message}") as raised:
        fetch_source("toy", source, root)
    assert "\n" not in str(raised.value)
    assert not (root.parent / "x").exists()


def test_an_unpacking_that_was_killed_is_done_again(root, monkeypatch):
    """The folder that is expected is there, with half of its files."""
    source = with_archives(root, {FILE: fetch_sources.tar_bytes({"d/1": b"1", "d/2": b"2"})}, {"d": None})

    def killed(tar, path, **_):
        tar.extract("d/1", path, filter="data")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extractall", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch_source("toy", source, root)
    assert [path.name for path in (root / "d").iterdir()] == ["1"]
    assert fetch_source("toy", source, root)["files"] == [{"path": "d", "files": 2}]
    assert {path.name for path in root.iterdir()} == {FILE, "d"}


# the command


def command(source, root, receipt, preset="paper"):
    options = f"--preset {preset} --source {source} --root {root} --receipt {receipt}"
    return [sys.executable, "-m", "data_prep", "fetch", *options.split()]


@pytest.fixture
def fetch_toy(tmp_path, source, root, monkeypatch):
    """The command line that fetches the toy source."""
    shutil.copytree(CONFIG, tmp_path / "config")
    (tmp_path / "config/sources/toy.yaml").write_text(yaml.safe_dump(source))
    monkeypatch.setenv("CLD_CONFIG", str(tmp_path / "config"))
    return command("toy", root, tmp_path / "r.json")


def test_a_killed_command_resumes_where_it_was(server, fetch_toy, root, tmp_path):
    server.plan += ["stall"]
    half, part = len(ARCHIVE) // 2, root / f"{FILE}.part"
    process = subprocess.Popen(fetch_toy, stderr=subprocess.DEVNULL)
    try:
        # what is in a half-filled buffer is lost with the process
        while not part.exists() or part.stat().st_size <= half - download.CHUNK:
            assert process.poll() is None, "ended before the kill"
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept, sent = part.stat().st_size, server.sent
    assert not (tmp_path / "r.json").exists()
    subprocess.run(fetch_toy, check=True, capture_output=True)
    assert_whole(root)
    assert server.requests[1:] == [(f"/{FILE}", f"bytes={kept}-")]
    assert server.sent - sent == len(ARCHIVE) - kept
    receipt = (tmp_path / "r.json").read_text()
    assert json.loads(receipt)["source"] == "toy"
    assert str(tmp_path) not in receipt


def test_two_fetches_at_once_download_once(server, fetch_toy, root):
    server.plan += ["stall"]
    first = subprocess.Popen(fetch_toy, stderr=subprocess.PIPE, text=True)
    while not server.requests:
        assert first.poll() is None
        time.sleep(0.02)
    second = subprocess.Popen(fetch_toy, stderr=subprocess.PIPE, text=True)
    line = second.stderr.readline()
    assert line.startswith(f"{root}: ") and f"process {first.pid} " in line and "fetching into it" in line
    server.released.set()  # the first's connection breaks, and it resumes
    errors = [process.communicate(timeout=60)[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], errors
    assert_whole(root)
    assert server.sent <= len(ARCHIVE) + download.CHUNK


@pytest.mark.parametrize(
    ("source", "preset", "message"),
    [
        ("imagenet", "paper", "must be put into this folder by hand"),
        ("imagnet", "paper", "sources that exist: cifar10"),
        ("gmu_kitchens", "demo", "sources.gmu_kitchens.generate is set"),
    ],
)
def test_the_command_ends_without_a_traceback(tmp_path, source, preset, message):
    words = command(source, tmp_path / "none", tmp_path / "receipt.json", preset)
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
