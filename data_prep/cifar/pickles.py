"""Pickles read as data: numbers, texts, lists, dictionaries and arrays, and no code but this module's.

Unpickling calls whatever a file names. Here a file can name no more than an array needs, and each such name
stands for a function of this module; numpy's own unpickling is not run.
"""

import io
import pickle
import re
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.published_files import FETCH_AGAIN


def read_pickle(path: Path, content: bytes) -> dict[str, object]:
    """The dictionary that a file holds, its keys as texts; the texts of Python 2 are read as Latin-1.

    Args:
        path: the file, for messages.
        content: its bytes.

    Raises:
        InputError: the file is cut short or damaged, names anything but an array, or holds no dictionary.
    """
    try:
        value = _plain(_DataUnpickler(path, content).load())
    except InputError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not readable as a pickle ({reason}); {FETCH_AGAIN}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no dictionary; {FETCH_AGAIN}")
    return {_text(key): _plain(item) for key, item in value.items()}


# The Python implementation: with the C one, one damaged byte can ask for gigabytes (its memo is an array).
class _DataUnpickler(pickle._Unpickler):
    def __init__(self, path: Path, content: bytes):
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> object:
        try:
            return _ADMITTED[module.replace("numpy._core", "numpy.core"), name]
        except KeyError:
            raise InputError(
                f"{self._path}: asks for {module}.{name}, which data never need: this is not the publisher's "
                f"file; {FETCH_AGAIN}"
            ) from None


class _Type:
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: str, *_: object):
        # numbers of one to eight bytes; never objects
        if not re.fullmatch("[biuf][1248]", _text(code)):
            raise ValueError(f"an array of type {code}")
        self.dtype = np.dtype(_text(code))

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(_text(state[1]))


class _Array:
    """Stands for an array until its content has been read."""

    def __init__(self) -> None:
        self.values: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, is_fortran, content = state
        content = content.encode("latin1") if isinstance(content, str) else content
        values = np.frombuffer(content, dtype=kind.dtype)
        self.values = values.reshape(shape, order="F" if is_fortran else "C")


_NDARRAY = object()


def _reconstruct(kind: object, *_: object) -> _Array:
    if kind is not _NDARRAY:
        raise ValueError("an array of another kind")
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"text in {encoding}")
    return text.encode("latin1")


_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,  # how Python 3 writes bytes for Python 2
}


def _plain(value: object) -> object:
    return value.values if isinstance(value, _Array) else value


def _text(value: object) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
