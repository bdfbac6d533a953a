"""Pickles as data: what is published is read; what is not cannot run, and ends in one line."""

import pickle
import resource
import struct
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import toy_cifar
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cld.runtime.errors import InputError
from data_prep.cifar.batches import batch_from
from data_prep.cifar.layout import VARIANTS
from data_prep.cifar.pickles import read_pickle

PATH = Path("data_batch_1")
OWNED = []


class Malicious:
    """Runs code when it is unpickled the usual way."""

    def __reduce__(self):
        return OWNED.append, ("owned",)


def test_code_is_not_run():
    content = pickle.dumps({b"data": Malicious()}, protocol=2)
    with pytest.raises(InputError, match=r"data_batch_1: asks for .*; fetch it again"):
        read_pickle(PATH, content)
    assert not OWNED


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("numpy", "load"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "fromfile"),
        ("_codecs", "lookup"),
        ("data_prep.cifar.pickles", "_encode"),
        ("copyreg", "_reconstructor"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_each_name_but_an_arrays_is_refused(module, name, protocol):
    if protocol == 2:
        content = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."
    else:
        words = (pickle.SHORT_BINUNICODE + bytes([len(word)]) + word.encode() for word in (module, name))
        content = b"\x80\x04" + b"".join(words) + b"\x93."
    with pytest.raises(InputError, match=f"asks for {module}.{name}, which data never need"):
        read_pickle(PATH, content)


@pytest.mark.parametrize("style", ["python2", "python3"])
@given(
    st.sampled_from(["u1", "i4", "<i8", ">i8", "f4", "?"]).flatmap(
        lambda kind: arrays(np.dtype(kind), st.tuples(st.integers(1, 4), st.integers(1, 5)))
    ),
    st.booleans(),
)
def test_arrays_are_read_as_numpy_reads_them(tmp_path_factory, style, array, in_fortran_order):
    path = tmp_path_factory.getbasetemp() / "arrays"
    toy_cifar.write_pickle(path, {b"data": np.asfortranarray(array) if in_fortran_order else array}, style)
    read = read_pickle(path, path.read_bytes())["data"]
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


@pytest.mark.parametrize("kind", ["O", "S3", "M8[s]", "u1,u1"])
def test_arrays_of_anything_but_numbers_are_refused(kind):
    content = pickle.dumps({"data": np.zeros(2, dtype=kind)}, protocol=2)
    with pytest.raises(InputError, match="not readable as a pickle"):
        read_pickle(PATH, content)


def test_only_latin_1_bytes_are_made_of_text():
    call = b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R"
    content = b"\x80\x02}(X\x01\x00\x00\x00k" + call + b"u."
    with pytest.raises(InputError, match="text in zip"):
        read_pickle(PATH, content)
    as_latin1 = content.replace(b"\x03\x00\x00\x00zip", b"\x06\x00\x00\x00latin1")
    assert read_pickle(PATH, as_latin1) == {"k": b"a"}


@pytest.mark.parametrize("value", [[1, 2], "text", 5, None], ids=["a list", "a text", "a number", "nothing"])
def test_a_pickle_without_a_dictionary_is_refused(value):
    with pytest.raises(InputError, match="holds no dictionary"):
        read_pickle(PATH, pickle.dumps(value, protocol=2))


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02", b"no pickle at all", b"\x1f\x8b\x08", b"\x00" * 100, b"."]
)
def test_what_is_no_pickle_is_named(content):
    with pytest.raises(InputError, match=r"data_batch_1: not readable as a pickle .*; fetch it again"):
        read_pickle(PATH, content)


@cache
def published() -> bytes:
    """A batch of four black images: nearly every byte that is not a pixel is structure."""
    content = toy_cifar.batch("cifar10", 4, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batch"
        toy_cifar.write_pickle(path, content | {b"data": np.zeros((4, 3072), dtype=np.uint8)})
        return path.read_bytes()


STRUCTURE = [place for place, value in enumerate(published()) if value]


@settings(max_examples=100)
@given(st.integers(0, len(published()) - 1) | st.sampled_from(STRUCTURE))
def test_a_truncated_pickle_is_named(length):
    with pytest.raises(InputError, match="data_batch_1: "):
        read_pickle(PATH, published()[:length])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(STRUCTURE), st.integers(0, 7)), min_size=1, max_size=3))
def test_flipped_bits_give_a_batch_or_one_line(flips):
    spoilt = bytearray(published())
    for place, bit in flips:
        spoilt[place] ^= 1 << bit
    try:
        batch = batch_from(PATH, read_pickle(PATH, bytes(spoilt)), VARIANTS["cifar10"])
    except InputError as error:
        assert "\n" not in str(error) and str(error).startswith("data_batch_1: ")
    else:
        assert batch.images.shape == (len(batch.labels), 32, 32, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02}" + pickle.LONG_BINPUT + struct.pack("<I", 2**32 - 1) + b".",
        b"\x80\x05" + pickle.BYTEARRAY8 + struct.pack("<Q", 2**62) + b".",
        b"\x80\x02" + pickle.LONG4 + struct.pack("<i", 2**31 - 1) + b".",
    ],
    ids=["memo", "bytearray", "number"],
)
def test_a_few_bytes_do_not_ask_for_gigabytes(content):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(InputError):
        assert read_pickle(PATH, content) == {}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
