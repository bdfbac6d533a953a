"""Pickles as data: what is published is read; what is not cannot run, and ends in one line."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import toy_cifar

from cld.runtime.errors import InputError
from data_prep.cifar.pickles import read_pickle

PATH = Path("data_batch_1")
OWNED = []


class Malicious:
    """Runs code when it is unpickled the usual way."""

    def __reduce__(self):
        return OWNED.append, ("owned",)


def test_code_is_not_run():
    content = pickle.dumps({b"data": Malicious()}, protocol=2)
    with pytest.raises(InputError, match=r"data_batch_1: .*asks for .*; fetch it again"):
        read_pickle(PATH, content)
    assert not OWNED


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("__builtin__", "getattr"), ("numpy", "ndarray.tofile"), ("_codecs", "lookup")],
)
def test_each_name_but_an_arrays_is_refused(module, name):
    content = b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"."
    with pytest.raises(InputError, match=f"asks for {module}.{name}, which data never need"):
        read_pickle(PATH, content)


@pytest.mark.parametrize("style", ["python2", "python3"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_whichever_python_wrote_them(tmp_path, style, order):
    array = np.arange(256 * 3, dtype=np.uint8).reshape(256, 3, order=order)
    toy_cifar.write_pickle(tmp_path / "batch", {b"data": array, b"n": [1, 2**70]}, style)
    read = read_pickle(PATH, (tmp_path / "batch").read_bytes())
    assert read["n"] == [1, 2**70]
    assert read["data"].dtype == np.uint8
    np.testing.assert_array_equal(read["data"], array)


def test_a_pickle_without_a_dictionary_is_refused():
    with pytest.raises(InputError, match="holds no dictionary"):
        read_pickle(PATH, pickle.dumps([1, 2], protocol=2))


@pytest.mark.parametrize("content", [b"no pickle at all", 0, 2, 100, 12_000])
def test_what_is_no_pickle_or_is_cut_short_is_named(tmp_path, content):
    if isinstance(content, int):
        toy_cifar.write_pickle(tmp_path / "batch", toy_cifar.batch("cifar10", 4, seed=0))
        content = (tmp_path / "batch").read_bytes()[:content]
    with pytest.raises(
        InputError, match=r"data_batch_1: not readable as a pickle .*; fetch it again"
    ) as caught:
        read_pickle(PATH, content)
    assert "\n" not in str(caught.value)
