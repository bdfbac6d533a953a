"""CIFAR stores: what torchvision reads from the same files, and a line for each way they can be bad."""

import numpy as np
import pytest
import toy_cifar
from build_outputs import facts, manifest
from torchvision.datasets import CIFAR10, CIFAR100

from cld.data import read_split
from cld.runtime.errors import InputError
from data_prep.cifar.build import build_cifar
from data_prep.common.settings import settings_from

THEIRS = {"cifar10": CIFAR10, "cifar100": CIFAR100}
TRAIN = {"cifar10": 100, "cifar100": 200}


def settings(**changes):
    return settings_from("build/cifar", {"expect": {}} | changes, "build settings")


@pytest.fixture
def root(tmp_path):
    """CIFAR-10 of five batches of 20 images, and 10 test images."""
    toy_cifar.write_cifar(tmp_path / "cifar10")
    return tmp_path / "cifar10"


@pytest.fixture
def folder(root):
    return root / "cifar-10-batches-py"


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


def test_manifest_and_report_name_batch_row_and_file(folder, root, target):
    info = build_cifar(root, settings(expect={"train": 100, "test": 10}), target)
    report = facts(target)
    assert report["source"]["files"] == 7 and report["status"] == "built"
    assert [row["images"] for row in report["details"]["Batches"]] == [20] * 5 + [10]
    assert report["counts"]["expected"] == {"train": 100, "test": 10}
    pixels = read_split(target.store, "train").images / 255
    np.testing.assert_allclose(info.mean, pixels.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(info.std, pixels.std(axis=(0, 1, 2)))
    rows = manifest(target)
    assert list(rows[23].values()) == [
        "train", "23", "class_3", "3", "data_batch_2/3 data_batch_2_000003.png",
    ]  # fmt: skip
    assert [row["image"].split("/")[0] for row in rows[::20]] == [*toy_cifar.TRAIN["cifar10"], "test_batch"]
    spoil(folder, filenames=None)
    build_cifar(root, settings(), target)
    assert manifest(target)[23]["image"] == "data_batch_2/3"


def test_a_long_tail_is_cut_out_of_the_training_images(root, target):
    counts = {"expect": {"train": 100, "test": 10}}
    build_cifar(root, settings(**counts), target)
    whole, names = read_split(target.store, "train"), [row["image"] for row in manifest(target)]
    info = build_cifar(root, settings(imbalance=10, **counts), target)
    sizes = [10, 7, 5, 4, 3, 2, 2, 1, 1, 1]
    tail = read_split(target.store, "train")
    assert np.bincount(tail.labels).tolist() == sizes
    assert info.sizes == {"train": sum(sizes), "test": 10}
    kept = [names.index(row["image"]) for row in manifest(target) if row["split"] == "train"]
    assert kept == sorted(kept)
    np.testing.assert_array_equal(tail.images, whole.images[kept])
    np.testing.assert_array_equal(tail.labels, whole.labels[kept])
    table = facts(target)["details"]["Long tail"]
    assert [row["kept"] for row in table] == [row["by the rule"] for row in table] == sizes
    assert {row["upstream"] for row in table} == {10}
    assert facts(target)["counts"]["expected"] == {"train": sum(sizes), "test": 10}


def test_a_class_with_too_few_images_is_kept_whole_and_told(folder, root, target):
    spoil(folder, labels=[0] * 20)
    build_cifar(root, settings(imbalance=2), target)
    assert any("fewer images than the long tail's rule" in note for note in facts(target)["notes"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [0] * 19}, r"'data' is not uint8 \(19, 3072\), a row for each of 'labels'"),
        ({"labels": [0] * 19 + [10]}, "'labels' is no list of labels 0 to 9"),
        ({"labels": [0] * 19 + [-1]}, "'labels' is no list of labels"),
        ({"labels": None}, "'labels' is no list of labels"),
        ({"data": None}, r"'data' is not uint8 \(20, 3072\)"),
        ({"data": np.zeros((20, 3072), np.float32)}, r"'data' is not uint8 \(20, 3072\)"),
        ({"data": np.zeros((20, 3, 1024), np.uint8)}, r"'data' is not uint8 \(20, 3072\)"),
        ({"filenames": [b"a.png"]}, "'filenames' is no list of 20 names"),
        ({"filenames": [1] * 20}, "'filenames' is no list of 20 names"),
    ],
)
def test_a_batch_that_is_not_the_publications_is_named(folder, root, target, changes, message):
    spoil(folder, **changes)
    refused(root, target, f"data_batch_2: {message}")


@pytest.mark.parametrize("names", [[b"a", b"b"], [b"a"] * 10, 5])
def test_bad_class_names_are_named(folder, root, target, names):
    toy_cifar.write_pickle(folder / "batches.meta", {b"label_names": names})
    refused(root, target, "batches.meta: 'label_names' is no list of 10 different names")
