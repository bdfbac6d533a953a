"""CIFAR stores: what torchvision reads from the same files, and a line for each way they can be bad."""

import csv
import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import toy_cifar
from torchvision.datasets import CIFAR10, CIFAR100

from cld.data import read_info, read_split, verify
from cld.runtime.errors import InputError
from data_prep.cifar.build import build_cifar
from data_prep.common.lock import only_build
from data_prep.common.record import Target
from data_prep.common.settings import settings_from
from data_prep.common.source_files import published_md5s

THEIRS = {"cifar10": CIFAR10, "cifar100": CIFAR100}
TRAIN = {"cifar10": 100, "cifar100": 200}


def settings(**changes):
    defaults = {"check_md5": False, "expect": {}}
    return settings_from("build/cifar", defaults | changes, "build settings")


@pytest.fixture
def root(tmp_path):
    """CIFAR-10 of five batches of 20 images, and 10 test images."""
    toy_cifar.write_cifar(tmp_path / "cifar10")
    return tmp_path / "cifar10"


@pytest.fixture
def folder(root):
    return root / "cifar-10-batches-py"


def manifest_rows(target) -> list[dict]:
    with open(target.manifest, newline="") as file:
        return list(csv.DictReader(file))


def facts(target) -> dict:
    return json.loads(target.report.with_suffix(".json").read_text())


def spoil(folder, name="data_batch_2", **changes):
    """Write a batch again with some keys changed; None leaves a key out."""
    content = toy_cifar.batch("cifar10", 20, seed=9) | {key.encode(): value for key, value in changes.items()}
    toy_cifar.write_pickle(folder / name, {key: value for key, value in content.items() if value is not None})


def refused(root, target, message, **changes):
    with pytest.raises(InputError, match=message) as caught:
        build_cifar(root, settings(**changes), target, workers=1)
    assert "\n" not in str(caught.value)
    assert not target.store.exists()


@pytest.mark.parametrize("variant", ["cifar10", "cifar100"])
def test_a_store_holds_what_torchvision_reads(tmp_path, target, monkeypatch, variant):
    toy_cifar.write_cifar(tmp_path, variant, train=TRAIN[variant] // len(toy_cifar.TRAIN[variant]))
    info = build_cifar(tmp_path, settings(variant=variant), target, workers=1)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    for split in ("train", "test"):
        theirs = THEIRS[variant](tmp_path, train=split == "train")
        ours = read_split(target.store, split)
        np.testing.assert_array_equal(ours.images, theirs.data)
        np.testing.assert_array_equal(ours.images[3], np.asarray(theirs[3][0]))
        np.testing.assert_array_equal(ours.labels, theirs.targets)
        assert info.classes == theirs.classes
    assert info.sizes == {"train": TRAIN[variant], "test": 10}
    assert info.image_size == 32


def test_files_that_python_3_wrote_give_the_same_store(root, target, tmp_path):
    build_cifar(root, settings(), target)
    images, manifest = read_split(target.store, "train").images, target.manifest.read_bytes()
    toy_cifar.write_cifar(tmp_path / "again", style="python3")
    build_cifar(tmp_path / "again", settings(), target)
    np.testing.assert_array_equal(read_split(target.store, "train").images, images)
    assert target.manifest.read_bytes() == manifest


def test_a_planar_row_becomes_an_upright_image(folder, root, target):
    data = np.zeros((20, 3072), dtype=np.uint8)
    data[0, :32] = 255  # first 32 values: the top row of the red channel
    spoil(folder, "data_batch_1", data=data)
    build_cifar(root, settings(), target)
    image = read_split(target.store, "train").images[0]
    np.testing.assert_array_equal(image[0], [[255, 0, 0]] * 32)
    assert not image[1:].any()


def test_the_manifest_names_batch_row_and_file(root, target):
    build_cifar(root, settings(), target)
    rows = manifest_rows(target)
    assert list(rows[23].values()) == [
        "train", "23", "class_3", "3", "data_batch_2/3 data_batch_2_000003.png",
    ]  # fmt: skip
    assert [row["image"].split("/")[0] for row in rows[::20]] == [*toy_cifar.TRAIN["cifar10"], "test_batch"]


def test_a_batch_without_file_names_has_rows(folder, root, target):
    spoil(folder, filenames=None)
    build_cifar(root, settings(), target)
    assert manifest_rows(target)[23]["image"] == "data_batch_2/3"


def test_the_report_has_files_batches_and_measured_statistics(root, target):
    info = build_cifar(root, settings(expect={"train": 100, "test": 10}), target)
    report = facts(target)
    assert report["source"]["files"] == 7 and report["status"] == "built"
    assert [row["images"] for row in report["details"]["Batches"]] == [20] * 5 + [10]
    assert report["counts"]["expected"] == {"train": 100, "test": 10}
    pixels = read_split(target.store, "train").images / 255
    np.testing.assert_allclose(info.mean, pixels.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(info.std, pixels.std(axis=(0, 1, 2)))


def test_given_statistics_are_kept(root, target):
    info = build_cifar(root, settings(mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.1]), target)
    assert (info.mean, info.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))


def test_the_store_verifies_until_a_byte_flips(root, target):
    build_cifar(root, settings(), target)
    assert "100 train" in verify(target.store)
    with h5py.File(target.store, "r+") as store:
        store["train/images"][7, 1, 2, 0] ^= 1
    with pytest.raises(InputError, match="train/images is damaged"):
        verify(target.store)


def test_two_builds_give_the_same_bytes(root, target):
    build_cifar(root, settings(imbalance=5), target)
    first = [path.read_bytes() for path in (target.store, target.manifest, target.report)]
    build_cifar(root, settings(imbalance=5), target, workers=2)
    assert first == [path.read_bytes() for path in (target.store, target.manifest, target.report)]


def test_a_long_tail_is_cut_out_of_the_training_images(root, target):
    counts = {"expect": {"train": 100, "test": 10}}
    build_cifar(root, settings(**counts), target)
    whole, names = read_split(target.store, "train"), [row["image"] for row in manifest_rows(target)]
    info = build_cifar(root, settings(imbalance=10, **counts), target)
    sizes = [10, 7, 5, 4, 3, 2, 2, 1, 1, 1]
    tail = read_split(target.store, "train")
    assert np.bincount(tail.labels).tolist() == sizes
    assert info.sizes == {"train": sum(sizes), "test": 10}
    kept = [names.index(row["image"]) for row in manifest_rows(target) if row["split"] == "train"]
    assert kept == sorted(kept)
    np.testing.assert_array_equal(tail.images, whole.images[kept])
    np.testing.assert_array_equal(tail.labels, whole.labels[kept])
    table = facts(target)["details"]["Long tail"]
    assert [row["kept"] for row in table] == [row["by the rule"] for row in table] == sizes
    assert {row["upstream"] for row in table} == {10}
    assert facts(target)["counts"]["expected"] == {"train": sum(sizes), "test": 10}


def test_a_long_tails_choice_follows_from_its_seed(root, target):
    def images(seed):
        build_cifar(root, settings(imbalance=10, imbalance_seed=seed), target)
        return read_split(target.store, "train").images

    first, second = images(0), images(1)
    assert first.shape == second.shape and (first != second).any()


def test_a_class_with_too_few_images_is_kept_whole_and_told(folder, root, target):
    spoil(folder, labels=[0] * 20)
    build_cifar(root, settings(imbalance=2), target)
    assert any("fewer images than the long tail's rule" in note for note in facts(target)["notes"])


def test_repeated_file_names_are_counted(folder, root, target):
    content = toy_cifar.batch("cifar10", 20, 2, "data_batch_2")
    spoil(
        folder, filenames=[*content[b"filenames"][:18], b"data_batch_1_000000.png", b"test_batch_000004.png"]
    )
    build_cifar(root, settings(), target)
    (note,) = facts(target)["notes"]
    assert note.startswith("4 images share their file name with another (2 names: data_batch_1_000000.png, ")


def test_an_empty_class_is_told(folder, root, target):
    for name in toy_cifar.TRAIN["cifar10"]:
        spoil(folder, name, labels=[i % 9 for i in range(20)], filenames=None)
    build_cifar(root, settings(), target)
    assert facts(target)["notes"] == ["split train has no image of class_9"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0] * 19}, "'labels' has 19 entries for 20 images"),
        ({"labels": [0] * 19 + [10]}, "'labels' has 10; the labels are 0 to 9"),
        ({"labels": [0] * 19 + [-1]}, "'labels' has -1"),
        ({"labels": [0] * 19 + [2**70]}, r"'labels' has \d+; the labels"),
        ({"labels": [0] * 19 + [0.5]}, "'labels' is no list of whole numbers"),
        ({"labels": [0] * 19 + [True]}, "'labels' is no list of whole numbers"),
        ({"labels": b"abc"}, "'labels' is no list of whole numbers"),
        ({"labels": None}, "has no 'labels' .it has batch_label, data, filenames"),
        ({"data": None}, "has no 'data'"),
        ({"data": [1, 2]}, "'data' is list and must be uint8"),
        ({"data": np.zeros((20, 3071), np.uint8)}, r"'data' is uint8 \(20, 3071\)"),
        ({"data": np.zeros((20, 3072), np.float32)}, r"'data' is float32 \(20, 3072\)"),
        ({"data": np.zeros((20, 3, 1024), np.uint8)}, r"'data' is uint8 \(20, 3, 1024\)"),
        ({"data": np.zeros(3072, np.uint8)}, r"'data' is uint8 \(3072,\)"),
        ({"data": np.zeros((19, 3072), np.uint8)}, "'labels' has 20 entries for 19 images"),
        ({"filenames": [b"a.png"]}, "'filenames' has 1 entries for 20 images"),
        ({"filenames": [1] * 20}, "'filenames' is no list of names"),
    ],
)
def test_a_batch_that_is_not_the_publications_is_named(folder, root, target, changes, message):
    spoil(folder, **changes)
    refused(root, target, f"data_batch_2: {message}")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([b"a", b"b"], "'label_names' has 2 names, 2 of them different, and must have 10"),
        ([b"a"] * 10, "'label_names' has 10 names, 1 of them different"),
        (5, "'label_names' is no list of names"),
    ],
)
def test_bad_class_names_are_named(folder, root, target, names, message):
    toy_cifar.write_pickle(folder / "batches.meta", {b"label_names": names})
    refused(root, target, f"batches.meta: {message}")


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_missing_file_is_named(folder, root, target, name):
    (folder / name).unlink()
    refused(root, target, f"{name}: no such file; fetch it again")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_named(folder, root, target, make):
    (folder / "data_batch_3").unlink()
    make(folder / "data_batch_3")
    refused(root, target, "data_batch_3: is no file; remove it, then fetch it again")


def test_a_missing_folder_says_how_to_fetch_it(tmp_path, target):
    refused(tmp_path / "nowhere", target, "nowhere/cifar-10-batches-py: no such folder; fetch it .*data.root")
    toy_cifar.write_cifar(tmp_path / "cifar10")
    refused(tmp_path / "cifar10", target, "cifar-100-python: no such folder", variant="cifar100")


def test_a_wrong_number_of_images_is_named(folder, root, target):
    refused(root, target, "100 images in split 'train', expected 50000", expect={"train": 50000})
    refused(
        root, target, "100 images in split 'train', expected 50000", expect={"train": 50000}, imbalance=10
    )


def test_published_checksums_are_held_to(folder, root, target):
    refused(
        root, target, r"batches\.meta: its MD5 is \w{32}, published is 5ff9c542.*check_md5", check_md5=True
    )


def test_the_checksums_come_before_the_pickles(folder, root, target, monkeypatch):
    monkeypatch.setattr("data_prep.cifar.build.read_pickle", lambda *_: pytest.fail("unpickled"))
    refused(root, target, "its MD5 is", check_md5=True)


def test_right_checksums_pass_and_a_flipped_bit_does_not(folder, root, target, monkeypatch):
    md5s = {
        path.relative_to(root).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
    }
    monkeypatch.setattr("data_prep.cifar.build.published_md5s", lambda preset, source: md5s)
    build_cifar(root, settings(check_md5=True), target)
    target.store.unlink()
    content = bytearray((folder / "data_batch_4").read_bytes())
    content[5000] ^= 4  # a pixel: nothing but the checksum can tell
    (folder / "data_batch_4").write_bytes(content)
    refused(root, target, "data_batch_4: its MD5 is", check_md5=True)


@pytest.mark.parametrize("variant", ["cifar10", "cifar100"])
def test_the_checksums_are_torchvisions(variant):
    theirs = THEIRS[variant]
    meta = (theirs.meta["filename"], theirs.meta["md5"])
    listed = dict((*theirs.train_list, *theirs.test_list, meta))
    expected = {f"{theirs.base_folder}/{name}": md5 for name, md5 in listed.items()}
    assert published_md5s("paper", variant) == expected


def test_a_file_without_permission_is_one_line(root, target, monkeypatch):
    real_open = open

    def fail(path, *args, **kwargs):
        if str(path).endswith("data_batch_5"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, *args, **kwargs)

    monkeypatch.setattr("builtins.open", fail)
    refused(root, target, "data_batch_5: cannot be read .Permission denied.; fix its permissions")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Can't write\n(errno = 28, error message = 'No space left on device')"),
    ],
)
def test_a_full_disk_is_one_line_and_no_store(root, target, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(h5py.Group, "create_dataset", fail)
    refused(root, target, "s.h5: cannot be written .*No space left on device.*; free some space")
    assert not list(target.store.parent.glob("*.h5")) and not list(target.store.parent.glob(".*"))


def test_a_file_size_limit_ends_in_one_line(root, target):
    """A write that really fails, in mid-store, as on a full disk."""
    limited = (
        "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "runpy.run_module('data_prep.cifar.build', run_name='__main__')"
    )
    done = command(["-c", limited], root, target, "check_md5=false", "expect={}")
    assert done.returncode == 2, done.stderr
    assert "s.h5: cannot be written" in done.stderr and "Traceback" not in done.stderr
    assert not target.store.exists()


def test_an_error_of_the_program_keeps_its_traceback(root, target, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("data_prep.cifar.build.finish_arrays", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        build_cifar(root, settings(), target)


def test_only_one_build_at_a_time(root, target):
    with only_build(target.store):
        refused(root, target, "is building it now")
    build_cifar(root, settings(), target)


def test_what_a_killed_build_left_is_removed_by_the_next(root, target):
    killed = (
        "import os, runpy, signal, cld.data.store_format as format;"
        f"format.seal = lambda _: os.kill(os.getpid(), {signal.SIGKILL:d});"
        "runpy.run_module('data_prep.cifar.build', run_name='__main__')"
    )
    overrides = ("check_md5=false", "expect={}")
    assert command(["-c", killed], root, target, *overrides).returncode == -signal.SIGKILL
    assert not target.store.exists()
    assert {path.suffix for path in target.store.parent.glob(".*")} == {".h5", ".lock"}
    other = target.store.with_name(".s.more.abcdefgh.tmp.h5")  # of another store, s.more.h5
    other.touch()
    build_cifar(root, settings(), target)
    assert list(target.store.parent.glob(".*")) == [other]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"store": Path(".")}, r"^\.: is a folder; name a file in it"),
        ({"manifest": Path("out/../s.h5")}, "s.h5: store, manifest, report and the report's JSON"),
        ({"report": Path("s.json")}, "s.json: store, .* cannot be the same file; name another"),
    ],
)
def test_files_that_would_replace_each_other_are_refused(changes, message):
    files = {"store": Path("s.h5"), "manifest": Path("s.csv"), "report": Path("s.md")} | changes
    with pytest.raises(InputError, match=message):
        Target(**files, dataset="cifar10", preset="demo")


def command(head, root, target, *overrides, dataset="cifar10", preset="paper"):
    options = {"--preset": preset, "--dataset": dataset, "--root": root, "--workers": 2}
    options |= {f"--{name}": getattr(target, name) for name in ("store", "manifest", "report")}
    words = [str(word) for pair in options.items() for word in pair]
    return subprocess.run(
        [sys.executable, *head, *words, *overrides], capture_output=True, text=True, timeout=60
    )


def test_the_command_builds_at_the_presets_scale(root, target):
    done = command(["-m", "data_prep", "build"], root, target, dataset="cifar10_lt", preset="demo")
    assert done.returncode == 0, done.stderr
    info = read_info(target.store)
    assert (info.dataset, info.preset, info.config["imbalance"]) == ("cifar10_lt", "demo", 100)
    assert info.sizes["train"] < 100


def test_the_command_ends_bad_files_with_one_line(folder, root, target):
    (folder / "data_batch_1").write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    done = command(["-m", "data_prep", "build"], root, target, "check_md5=false", "expect={}")
    assert done.returncode == 2
    assert re.search(r"error: \S+data_batch_1: asks for os\.system", done.stderr)
    assert "Traceback" not in done.stderr and not target.store.exists()
