"""Stores: what is written is what is read, and nothing half-written is ever there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from photos import FACTS

from cld.data import Split, read_info, read_labels, read_split, write_store
from cld.data.arrays import channel_statistics
from cld.runtime.errors import InputError


def test_round_trip(tmp_path, splits):
    written = write_store(tmp_path / "s.h5", splits, **FACTS)
    info = read_info(tmp_path / "s.h5")
    assert info == written
    assert (info.classes, info.image_size) == (FACTS["classes"], 4)
    assert list(info.sizes.items()) == [("train", 7), ("unlabelled", 4), ("test", 3)]  # in the order of use
    for name, split in splits.items():
        read = read_split(tmp_path / "s.h5", name)
        np.testing.assert_array_equal(read.images, split.images)
        np.testing.assert_array_equal(read.labels, split.labels)


@given(arrays(np.uint8, (3, 2, 2, 3)))
def test_channel_statistics_are_numpys(images):
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)), atol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 1, 2)), atol=1e-7)


def checksum(folder, splits):
    return write_store(folder / "s.h5", splits, **FACTS).checksum


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize("what", ["images", "labels"])
def test_the_checksum_sees_any_change(tmp_path, splits, name, what):
    before = checksum(tmp_path, splits)
    getattr(splits[name], what)[2] ^= 1
    assert checksum(tmp_path, splits) != before


def test_the_checksum_is_of_the_content_alone(tmp_path, splits):
    backwards = dict(reversed(splits.items()))
    assert checksum(tmp_path, backwards) == checksum(tmp_path, splits)
    content = (tmp_path / "s.h5").read_bytes()
    facts = {**FACTS, "preset": "other", "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 1.0)}
    renamed = write_store(tmp_path / "s.h5", splits, **facts)
    assert (renamed.preset, renamed.mean, renamed.std) == ("other", facts["mean"], facts["std"])
    assert renamed.checksum == checksum(tmp_path, splits)
    assert (tmp_path / "s.h5").read_bytes() == content  # the same content gives the same file


def test_several_splits_are_read_one_after_another(array_store):
    train, unlabelled = read_split(array_store, "train"), read_split(array_store, "unlabelled")
    both = read_split(array_store, ["train", "unlabelled"])
    np.testing.assert_array_equal(both.images, np.concatenate([train.images, unlabelled.images]))
    assert both.labels.tolist() == [*train.labels, -1, -1, -1, -1]


def test_labels_that_are_missing_are_told(array_store):
    assert read_labels(array_store, "test").tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="4 of 4 images of split 'unlabelled' have no label"):
        read_labels(array_store, "unlabelled")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda splits: splits.pop("train"), "a store needs a 'train' split; got unlabelled, test"),
        (
            lambda splits: splits.update(test=Split(np.empty((0, 4, 4, 3)), np.empty(0))),
            "split 'test' is empty",
        ),
        (lambda splits: splits["test"].labels.fill(3), "split 'test' has labels outside 0..2"),
    ],
)
def test_a_store_that_makes_no_sense_is_not_written(tmp_path, splits, change, message):
    change(splits)
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "s.h5", splits, **FACTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "denied"), "may not be read; fix its permissions"),
        (MemoryError("60 GB"), "memory"),
    ],
)
def test_a_good_store_is_not_called_damaged(array_store, monkeypatch, error, message):
    def fail(*args):
        raise error

    monkeypatch.setattr("cld.data.arrays.read_group", fail)
    with pytest.raises(InputError, match=message) as caught:
        read_split(array_store, "train")
    assert "build it again" not in str(caught.value)


def test_reading_what_is_no_store_says_so(tmp_path, array_store):
    with pytest.raises(InputError, match="no such store"):
        read_info(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match="not readable as a store"):
        read_info(tmp_path / "text.h5")
    with pytest.raises(InputError, match="no split 'val'; it has test, train, unlabelled"):
        read_split(array_store, "val")
    whole = array_store.read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="build it again"):
        read_info(tmp_path / "cut.h5")
