"""Pickles read as data: a file can name what an array needs, and nothing else, so that no code of it runs.

A damaged file ends in an error; it may need much memory before. Published files are held to their checksums
first.
"""

import io
import pickle
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.common.source_files import FETCH_AGAIN

ADMITTED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),  # of bytes, in pickles that Python 3 writes for Python 2
}
"""What a file may name: the module and the name that pickled arrays and bytes hold."""


class _DataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ADMITTED:
            raise ValueError(f"asks for {module}.{name}, which data never need")
        return super().find_class(module, name)


def read_pickle(path: Path, content: bytes) -> dict[str, object]:
    """The dictionary that a file holds, its keys as texts; the texts of Python 2 are read as Latin-1.

    Raises:
        InputError: the file is cut short or damaged, names anything but an array, or holds no dictionary.
    """
    try:
        value = _DataUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not readable as a pickle ({reason}); {FETCH_AGAIN}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no dictionary; {FETCH_AGAIN}")
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): item for key, item in value.items()}
