"""STL-10 stores: what torchvision reads from the same files, and a line for each way they can be bad."""

import os

import numpy as np
import pytest
import toy_stl10
from build_outputs import facts, manifest
from torchvision.datasets import STL10

from cld.data import read_split
from cld.runtime.errors import InputError
from data_prep.common.settings import settings_from
from data_prep.stl10.build import build_stl10

IMAGE_BYTES = 27648


def settings(**changes):
    return settings_from("build/stl10", {"expect": {}} | changes, "build settings")


@pytest.fixture
def root(tmp_path):
    toy_stl10.write_stl10(tmp_path / "stl10")
    return tmp_path / "stl10"


@pytest.fixture
def folder(root):
    return root / "stl10_binary"


def refused(root, target, message, **changes):
    with pytest.raises(InputError, match=message) as caught:
        build_stl10(root, settings(**changes), target, workers=1)
    assert "\n" not in str(caught.value)
    assert not target.store.exists()


@pytest.mark.parametrize("block_images", [5, 1000])
def test_a_store_holds_what_torchvision_reads(root, target, monkeypatch, block_images):
    monkeypatch.setattr("data_prep.stl10.published_files.BLOCK_IMAGES", block_images)
    info = build_stl10(root, settings(), target, workers=1)
    monkeypatch.setattr("torchvision.datasets.stl10.check_integrity", lambda *_: True)
    for split, theirs_split in toy_stl10.FILES.items():
        theirs, ours = STL10(root, split=theirs_split), read_split(target.store, split)
        np.testing.assert_array_equal(ours.images, theirs.data.transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(ours.images[2], np.asarray(theirs[2][0]))
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        assert info.classes == theirs.classes
    assert info.sizes == toy_stl10.COUNTS


def test_unlabelled_images_have_no_label_and_no_class(root, target):
    info = build_stl10(root, settings(expect=toy_stl10.COUNTS), target)
    assert info.mean == info.std == (0.5, 0.5, 0.5)
    assert (read_split(target.store, "unlabelled").labels == -1).all()
    rows = manifest(target)
    assert [row["split"] for row in rows] == ["train"] * 12 + ["unlabelled"] * 7 + ["test"] * 5
    assert list(rows[14].values()) == ["unlabelled", "2", "", "", "unlabeled_X.bin/2"]
    assert rows[1]["class"] == info.classes[1] == "bird"
    report = facts(target)
    assert report["counts"]["unlabelled"] == {"train": 0, "unlabelled": 7, "test": 0}
    assert report["counts"]["expected"] == toy_stl10.COUNTS
    assert report["source"]["files"] == 7
    assert report["notes"] == [f"split test has no image of {', '.join(toy_stl10.CLASSES[5:])}"]
    info = build_stl10(root, settings(mean=None, std=None), target)
    np.testing.assert_allclose(info.mean, (toy_stl10.images("train") / 255).mean(axis=(0, 1, 2)))


def test_a_file_of_no_whole_number_of_images_is_named(folder, root, target):
    os.truncate(folder / "test_X.bin", IMAGE_BYTES + 1)
    refused(
        root, target, f"test_X.bin: {IMAGE_BYTES + 1} bytes are no whole number of images of {IMAGE_BYTES}"
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1] * 11, "11 labels for 12 images"),
        ([1] * 13, "13 labels for 12 images"),
        ([1] * 11 + [0], "has label 0; the labels are 1 to 10"),
        ([1] * 11 + [11], "has label 11; the labels are 1 to 10"),
    ],
)
def test_labels_that_do_not_fit_are_named(folder, root, target, labels, message):
    (folder / "train_y.bin").write_bytes(bytes(labels))
    refused(root, target, f"train_y.bin: {message}")


@pytest.mark.parametrize("content", [b"", b"cat\n\ndog\n", b"cat\ncat\n"])
def test_bad_class_names_are_named(folder, root, target, content):
    (folder / "class_names.txt").write_bytes(content)
    refused(root, target, "class_names.txt: ")


def test_a_wrong_number_of_images_is_named_before_images_are_read(folder, root, target, monkeypatch):
    monkeypatch.setattr("data_prep.stl10.build.read_images", lambda *_: pytest.fail("images were read"))
    refused(root, target, "7 images in split 'unlabelled', expected 100000", expect={"unlabelled": 100_000})
    (folder / "unlabeled_X.bin").write_bytes(b"")
    refused(root, target, "split 'unlabelled' is empty; fetch the files again")
