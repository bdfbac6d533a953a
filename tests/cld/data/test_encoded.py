"""Stores of JPEGs: every byte comes back, from any process; what makes no sense is refused."""

import io
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from photos import FACTS, encoded_split, photos
from PIL import Image

from cld.data import EncodedImages, read_info, read_split, thumbnails, write_encoded_store
from cld.runtime.errors import InputError


def test_round_trip(jpeg_store):
    info = read_info(jpeg_store)
    assert (info.kind, info.image_size, info.has_objects) == ("jpeg", None, True)
    assert info.sizes == {"train": 9, "test": 4}
    assert info.mean == (0.485, 0.456, 0.406)  # ImageNet's, as everywhere
    for split, written in (("train", photos(9)), ("test", photos(4, seed=1))):
        images = EncodedImages(jpeg_store, split)
        assert list(images) == written
        assert images.labels.tolist() == [i % 3 for i in range(len(written))]


@pytest.mark.parametrize("index", [-1, 9])
def test_there_is_no_image_outside_a_split(jpeg_store, index):
    with pytest.raises(IndexError, match=f"no image {index}; there are 9"):
        EncodedImages(jpeg_store, "train")[index]


def test_the_objects_of_an_image_are_its_own(jpeg_store, objects):
    images, written = EncodedImages(jpeg_store, "train"), objects
    for i in range(9):
        own = images.objects.of(i)
        start = written.offsets[i]
        assert len(own.labels) == i % 3
        np.testing.assert_array_equal(own.boxes, written.boxes[start : start + i % 3])
        np.testing.assert_array_equal(own.difficult, written.difficult[start : start + i % 3])
        np.testing.assert_array_equal(own.truncated, written.truncated[start : start + i % 3])


def _read_at_random(images, seed):
    order = np.random.default_rng(seed).integers(0, len(images), 200)
    return [(int(i), images[int(i)]) for i in order]


def test_many_processes_read_at_once(jpeg_store):
    images, written = EncodedImages(jpeg_store, "train"), photos(9)
    assert images[3] == written[3]  # the parent has the file open: the children may not share it
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for read in pool.map(_read_at_random, [images] * 6, range(6)):
            assert all(content == written[i] for i, content in read)


@pytest.mark.parametrize("change", [lambda part: part + b"x", lambda part: part[:-1]])
def test_a_part_of_another_length_is_refused_and_nothing_is_written(tmp_path, change):
    split = encoded_split(tmp_path / "part", photos(4))
    split.parts[0].write_bytes(change(split.parts[0].read_bytes()))
    with pytest.raises(InputError, match=r"hold \d+ bytes and should hold \d+; delete"):
        write_encoded_store(tmp_path / "s.h5", {"train": split}, **FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


def test_thumbnails_are_the_images_made_small(jpeg_store, array_store):
    rows = [5, 0, 8]
    small = thumbnails(jpeg_store, "train", rows, 6)
    assert small.shape == (3, 6, 6, 3) and small.dtype == np.uint8
    for image, row in zip(small, rows, strict=True):
        whole = Image.open(io.BytesIO(photos(9)[row])).convert("RGB")
        expected = np.asarray(whole.resize((6, 6), Image.Resampling.BILINEAR), dtype=float)
        assert np.abs(image - expected).mean() < 25  # decoding at a lower scale is not exact on noise
    assert (small[1][..., 0] == small[1][..., 2]).all()  # the grey one
    whole = thumbnails(array_store, "train", [6, 1], 4)
    np.testing.assert_array_equal(whole, read_split(array_store, "train").images[[6, 1]])
    assert thumbnails(array_store, "test", [0], 2).shape == (1, 2, 2, 3)


def test_each_kind_says_how_the_other_is_read(jpeg_store, array_store):
    with pytest.raises(InputError, match="holds JPEGs of many sizes"):
        read_split(jpeg_store, "train")
    with pytest.raises(InputError, match="images of one size; read them with read_split"):
        EncodedImages(array_store, "train")
    with pytest.raises(InputError, match="no split 'val'; it has test, train"):
        EncodedImages(jpeg_store, "val")


def test_a_store_cut_short_after_it_was_opened_is_named(jpeg_store):
    images = EncodedImages(jpeg_store, "train")
    jpeg_store.write_bytes(jpeg_store.read_bytes()[:3000])
    with pytest.raises(InputError, match=re.escape(f"{jpeg_store}: ends before image 8")):
        images[8]
