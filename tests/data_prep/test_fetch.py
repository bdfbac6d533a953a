"""Files that are there already, archives that must not be unpacked, and what a person is told to do."""

import errno
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile

import fetch_sources
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cld.config import CONFIG, load_source
from cld.runtime.errors import InputError
from data_prep.fetch import archive, checksums, disk
from data_prep.fetch.fetch_command import fetch_source
from data_prep.fetch.receipt import write_receipt

NOWHERE = "http://127.0.0.1:1"  # any request fails
SOURCES = sorted(path.stem for path in (CONFIG / "sources").glob("*.yaml"))


def tree(root):
    """Everything under ``root``: kinds, contents and times of change."""
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
    }


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "toy"
    root.mkdir()
    return root


def put(root, archives):
    """Archives lying in the root already."""
    for name, content in archives.items():
        (root / name).write_bytes(content)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_valid(name):
    source = load_source("paper", name)
    assert source["generate"] is None
    assert bool(source["archives"]) != bool(source["by_hand"])


@pytest.mark.parametrize("recheck", [False, True])
def test_files_that_are_there_are_verified_and_only_remembered(root, recheck):
    (root / "a").write_bytes(b"a")
    source = fetch_sources.source(NOWHERE, {"toy.tar": b""}, {"a": b"a"})
    first = fetch_source("toy", source, root)
    assert {path.name for path in root.iterdir()} == {"a", checksums.MEMORY}
    before = tree(root)
    assert fetch_source("toy", source, root) == first
    assert tree(root) == before
    # same size and time: taken for the same file, unless all is read again
    times = (root / "a").stat().st_mtime_ns
    (root / "a").write_bytes(b"b")
    os.utime(root / "a", ns=(times, times))
    if recheck:
        with pytest.raises(InputError, match=r"/a: its MD5 is .*; remove the file"):
            fetch_source("toy", source, root, recheck=True)
    else:
        assert fetch_source("toy", source, root) == first


def test_wrong_checksum_of_a_file_that_is_there(root):
    source = fetch_sources.source(NOWHERE, {"toy.tar": b""}, {"a": b"a"})
    (root / "a").write_bytes(b"b")
    with pytest.raises(InputError) as raised:
        fetch_source("toy", source, root)
    for part in (str(root / "a"), *(hashlib.md5(content).hexdigest() for content in (b"a", b"b"))):
        assert part in str(raised.value)
    assert (root / "a").read_bytes() == b"b"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_root_that_cannot_be_written_serves(root, monkeypatch, number):
    """The superuser may write anywhere, so the refusal is played."""
    (root / "a").write_bytes(b"a")
    before = tree(root)

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("cld.runtime.files.tempfile.mkstemp", refuse)
    monkeypatch.setattr("os.open", refuse)
    fetch_source("toy", fetch_sources.source(NOWHERE, {"toy.tar": b""}, {"a": b"a"}), root)
    assert tree(root) == before


def test_root_that_cannot_be_read_is_one_line(root, monkeypatch):
    real_stat = os.stat

    def refuse(path, **options):
        if str(path).startswith(f"{root}/"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_stat(path, **options)

    monkeypatch.setattr("os.stat", refuse)
    source = fetch_sources.source(NOWHERE, {"toy.tar": b""}, {"a": b"a"})
    with pytest.raises(InputError, match=r"toy/a: cannot be read \(Permission denied\); fix its permissions"):
        fetch_source("toy", source, root)


def test_root_that_is_a_file_is_named(root):
    root.rmdir()
    root.touch()
    source = fetch_sources.source(NOWHERE, {"toy.tar": b""}, {"a": b"a"})
    with pytest.raises(
        InputError, match=r"/toy: cannot be written \(File exists\); move what lies in its place"
    ):
        fetch_source("toy", source, root)


def test_root_that_cannot_be_made(root):
    (root / "file").touch()
    source = fetch_sources.source(NOWHERE, {"toy.tar": b""}, {"a": b"a"})
    with pytest.raises(InputError, match=r"cannot be written \(Not a directory\)"):
        fetch_source("toy", source, root / "file" / "toy")


@pytest.mark.parametrize("memory", ["", "[]", "{", '{"a": 1}', '{"a": [1, 2, "x"]}', "\udcff"])
def test_broken_memory_counts_as_none(root, memory):
    (root / "a").write_bytes(b"a")
    (root / checksums.MEMORY).write_bytes(memory.encode(errors="surrogateescape"))
    fetch_source("toy", fetch_sources.source(NOWHERE, {}, {"a": b"a"}, by_hand="x"), root)
    assert len(json.loads((root / checksums.MEMORY).read_text())["a"]) == 3


def test_archive_that_is_there_is_verified_and_unpacked(root):
    archives = {"toy.tar.gz": fetch_sources.tar_bytes({"./toy/a": b"a", "toy/b/c": b"", "other": b"o"})}
    put(root, archives)
    source = fetch_sources.source(NOWHERE, archives, {"toy/a": b"a", "toy/b": None})
    receipt = fetch_source("toy", source, root)
    assert receipt["files"][1] == {"path": "toy/b", "files": 1}
    assert (root / "other").read_bytes() == b"o"
    assert not list(root.glob(".unpack*"))
    assert (root / "toy/a").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_archive_that_is_there_and_wrong_is_moved_aside(root):
    put(root, {"toy.tar": b"wrong"})
    source = fetch_sources.source(NOWHERE, {"toy.tar": b"right"}, {"a": b"a"})
    with pytest.raises(InputError, match=r"toy\.tar: its MD5 is .*moved to toy\.tar\.bad"):
        fetch_source("toy", source, root)
    assert (root / "toy.tar.bad").read_bytes() == b"wrong"
    assert not (root / "toy.tar").exists()


def test_archives_share_folders(root):
    archives = {
        "1.tar": fetch_sources.tar_bytes({"d/x/1": b"1", "d/both": b"same"}, "w"),
        "2.tar.gz": fetch_sources.tar_bytes({"d/x/2": b"2", "d/both": b"same"}),
    }
    put(root, archives)
    fetch_source("toy", fetch_sources.source(NOWHERE, archives, {"d/x/1": b"1", "d/x/2": b"2"}), root)
    assert (root / "d/both").read_bytes() == b"same"


@pytest.mark.parametrize("other", [b"othe", b"longer than that"])
def test_conflicting_content_is_refused_and_nothing_is_moved(root, other):
    archives = {
        "1.tar": fetch_sources.tar_bytes({"both": b"same"}),
        "2.tar": fetch_sources.tar_bytes({"a": b"a", "both": other}),
    }
    put(root, archives)
    with pytest.raises(InputError, match=r"/both: 2\.tar has this file too"):
        fetch_source("toy", fetch_sources.source(NOWHERE, archives, {"a": b"a"}), root)
    assert not (root / "a").exists()
    assert (root / "both").read_bytes() == b"same"
    assert not list(root.glob(".unpack*"))


def special(kind, name="bad", target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"/etc/x": b"x"}, "'/etc/x' has an absolute path"),
        ({"../x": b"x"}, r"'\.\./x' leads out"),
        ({"a/../../x": b"x"}, r"'a/\.\./\.\./x' leads out"),
        ({"bad": special(tarfile.SYMTYPE, target="/etc")}, "'bad' is a link"),
        ({"bad": special(tarfile.LNKTYPE, target="good")}, "'bad' is a link"),
        ({"bad": special(tarfile.CHRTYPE)}, "'bad' is neither a file nor a folder"),
        ({"bad": special(tarfile.BLKTYPE)}, "'bad' is neither a file nor a folder"),
        ({"bad": special(tarfile.FIFOTYPE)}, "'bad' is neither a file nor a folder"),
        ({"bad": special(tarfile.DIRTYPE, "/bad")}, "'/bad' has an absolute path"),
        ({"./good": b"x"}, "'./good' is in it twice"),
        ({"good/x": b"x"}, "'good' is a file and a folder"),
        ({"new\nline/../..": b"x"}, r"'new\\nline/\.\./\.\.' leads out"),
    ],
)
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_that_must_not_be_unpacked(root, members, message, mode):
    archives = {"toy.tar": fetch_sources.tar_bytes({"good": b"good"} | members, mode)}
    put(root, archives)
    with pytest.raises(InputError, match=rf"/toy\.tar: its member {message}") as raised:
        fetch_source("toy", fetch_sources.source(NOWHERE, archives, {"good": b"good"}), root)
    assert "\n" not in str(raised.value)
    assert {path.name for path in root.iterdir()} == {"toy.tar", checksums.MEMORY}


PLAIN = fetch_sources.tar_bytes({"a": os.urandom(700), "b/c": os.urandom(1500), "d": b""}, "w")
ZIPPED = gzip.compress(PLAIN)


@pytest.mark.parametrize("content", [PLAIN, ZIPPED], ids=["tar", "tar.gz"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_truncated_archive_is_refused_wherever_it_ends(tmp_path_factory, content, data):
    # what stands after the first empty block of a tar is filling
    end = 512 * 8 if content is PLAIN else len(content)
    cut = content[: data.draw(st.integers(0, end - 1))]
    root = tmp_path_factory.mktemp("cut")
    put(root, {"toy.tar": cut})
    source = fetch_sources.source(NOWHERE, {"toy.tar": cut}, {"a": b"a"})
    with pytest.raises(InputError, match=r"/toy\.tar: cannot be unpacked, it is cut short or broken"):
        fetch_source("toy", source, root)


@pytest.mark.parametrize("content", [PLAIN, ZIPPED], ids=["tar", "tar.gz"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_broken_archive_is_unpacked_or_one_line(tmp_path_factory, content, data):
    spoilt = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, min(len(spoilt), 512 * 9) - 1))] = data.draw(st.integers(0, 255))
    root = tmp_path_factory.mktemp("spoilt")
    put(root, {"toy.tar": bytes(spoilt)})
    source = fetch_sources.source(NOWHERE, {"toy.tar": bytes(spoilt)}, {"a": None})
    try:
        fetch_source("toy", source, root)
    except InputError as error:
        assert "\n" not in str(error)


def test_too_little_room_to_unpack(root, monkeypatch):
    archives = {"toy.tar.gz": fetch_sources.tar_bytes({"a": bytes(5_000_000)})}
    put(root, archives)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 2_000_000}))
    with pytest.raises(InputError, match=r"unpacking toy\.tar\.gz needs 5 MB and 2 MB are free"):
        fetch_source("toy", fetch_sources.source(NOWHERE, archives, {"a": None}), root)


def test_kill_while_files_are_moved_is_mended(root, monkeypatch):
    """The folder that is expected is there, with half of its files."""
    archives = {"toy.tar": fetch_sources.tar_bytes({"d/1": b"1", "d/2": b"2"})}
    put(root, archives)
    source = fetch_sources.source(NOWHERE, archives, {"d": None})
    move = archive._move
    moved = []

    def killed(new, path):
        if moved:
            raise KeyboardInterrupt
        moved.append(path)
        move(new, path)

    with monkeypatch.context() as patch:
        patch.setattr(archive, "_move", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch_source("toy", source, root)
    assert [path.name for path in (root / "d").iterdir()] == ["1"]
    (root / ".unpack.killed").mkdir()  # what a kill without a chance to tidy leaves
    assert fetch_source("toy", source, root)["files"] == [{"path": "d", "files": 2}]
    assert {path.name for path in root.iterdir()} == {"toy.tar", "d", checksums.MEMORY}


def test_archives_that_do_not_hold_what_is_expected(root):
    archives = {"toy.tar": fetch_sources.tar_bytes({"a": b"a"})}
    put(root, archives)
    with pytest.raises(InputError, match=r"b missing, also after .*config/sources/toy\.yaml"):
        fetch_source("toy", fetch_sources.source(NOWHERE, archives, {"a": None, "b": None}), root)


def test_imagenet_says_what_to_do(tmp_path):
    root = tmp_path / "imagenet"
    (root / "train").mkdir(parents=True)
    before = tree(tmp_path)
    with pytest.raises(InputError) as raised:
        fetch_source("imagenet", load_source("paper", "imagenet"), root)
    first, *alternatives = str(raised.value).splitlines()
    for part in (
        str(root),
        "https://image-net.org",
        "data.paths.imagenet",
        "data.root",
        "config/config.yaml",
    ):
        assert part in first
    assert len(alternatives) == 2
    assert alternatives[0].endswith(
        "missing: ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, ILSVRC2012_devkit_t12.tar.gz"
    )
    assert alternatives[1] == "  alternative 2: looked for train, val; missing: val"
    assert tree(tmp_path) == before


def test_first_complete_alternative_counts(root):
    for name in ("train", "val"):
        (root / name / "n01").mkdir(parents=True)
        (root / name / "n01" / "1.JPEG").touch()
    (root / "train" / ".hidden").touch()
    (root / "train" / "n01" / "loop").symlink_to(root / "train")
    receipt = fetch_source("imagenet", load_source("paper", "imagenet"), root)
    assert receipt["alternative"] == ["train", "val"]
    assert receipt["files"] == [{"path": "train", "files": 1}, {"path": "val", "files": 1}]


def test_own_folder_is_taken_as_it_is(root):
    (root / "1.png").touch()
    before = tree(root)
    receipt = fetch_source("folder", load_source("paper", "folder"), root)
    assert receipt["files"] == [{"path": ".", "files": 1}]
    assert tree(root) == before


def command(source, root, receipt, preset="paper"):
    program = [sys.executable, "-m", "data_prep", "fetch", "--preset", preset, "--source", source]
    return subprocess.run(
        [*program, "--root", str(root), "--receipt", str(receipt)], capture_output=True, text=True
    )


def test_command_writes_the_receipt_and_names_no_place(root, tmp_path):
    receipt = tmp_path / "receipts" / "folder.json"
    done = command("folder", root, receipt)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(tmp_path) not in receipt.read_text()
    before = receipt.stat().st_mtime_ns
    write_receipt(receipt, json.loads(receipt.read_text()))
    assert receipt.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("source", "preset", "message"),
    [
        ("imagenet", "paper", "must be put into this folder by hand"),
        ("imagnet", "paper", "sources that exist: cifar10"),
        ("gmu_kitchens", "demo", "sources.gmu_kitchens.generate is set"),
    ],
)
def test_command_fails_without_a_traceback(tmp_path, source, preset, message):
    done = command(source, tmp_path / "none", tmp_path / "receipt.json", preset)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
