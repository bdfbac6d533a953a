"""Stores: what is written is what is read, and nothing half-written is ever there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cld.errors import InputError
from cld.store import Split, channel_statistics, content_checksum, read_info, read_split, write_store

DESCRIPTION = {
    "dataset": "d",
    "preset": "p",
    "classes": ["a", "b"],
    "sources": {"root": "r"},
    "config": {"image_size": 4},
}


def some_splits(seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: Split(rng.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8), rng.integers(0, 2, n))
        for name, n in (("train", 7), ("test", 3))
    }


def test_round_trip(tmp_path):
    splits = some_splits()
    written = write_store(tmp_path / "s.h5", splits, **DESCRIPTION)
    info = read_info(tmp_path / "s.h5")
    assert info == written
    assert (info.classes, info.sizes, info.image_size) == (["a", "b"], {"train": 7, "test": 3}, 4)
    assert info.sources == DESCRIPTION["sources"] and info.config == DESCRIPTION["config"]
    assert info.checksum == content_checksum(splits)
    for name, split in splits.items():
        read = read_split(tmp_path / "s.h5", name)
        np.testing.assert_array_equal(read.images, split.images)
        np.testing.assert_array_equal(read.labels, split.labels)


@given(arrays(np.uint8, (3, 2, 2, 3)))
def test_channel_statistics_are_numpys(images):
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)), atol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std(axis=(0, 1, 2)), atol=1e-7)


@given(st.sampled_from(["train", "test"]), st.integers(0, 2), st.booleans())
def test_the_checksum_sees_any_change(name, row, in_labels):
    splits = some_splits()
    before = content_checksum(splits)
    if in_labels:
        splits[name].labels[row] ^= 1
    else:
        splits[name].images[row, 1, 2, 0] ^= 1
    assert content_checksum(splits) != before


def test_the_checksum_does_not_depend_on_the_order_of_splits():
    splits = some_splits()
    assert content_checksum(dict(reversed(splits.items()))) == content_checksum(splits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda splits: splits.pop("train"), "a store needs a 'train' split; got test"),
        (
            lambda splits: splits.update(test=Split(np.empty((0, 4, 4, 3)), np.empty(0))),
            "split 'test' is empty",
        ),
        (lambda splits: splits["test"].labels.fill(2), "split 'test' has labels outside 0..1"),
    ],
)
def test_a_store_that_makes_no_sense_is_not_written(tmp_path, change, message):
    splits = some_splits()
    change(splits)
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "s.h5", splits, **DESCRIPTION)
    assert list(tmp_path.iterdir()) == []


def test_reading_what_is_no_store_says_so(tmp_path):
    with pytest.raises(InputError, match="no such store"):
        read_info(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match="not readable as HDF5"):
        read_info(tmp_path / "text.h5")
    write_store(tmp_path / "s.h5", some_splits(), **DESCRIPTION)
    with pytest.raises(InputError, match="no split 'val'; it has test, train"):
        read_split(tmp_path / "s.h5", "val")
    whole = (tmp_path / "s.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="delete it and build it again"):
        read_info(tmp_path / "cut.h5")
