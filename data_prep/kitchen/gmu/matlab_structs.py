"""MATLAB struct arrays as plain records, whatever ``scipy.io.loadmat`` has wrapped them in.

``loadmat`` turns every value into an array: a scalar is 1×1, a string an array of one string, a cell an
object array, a struct array a record array; how deep they nest depends on how the file was saved.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from cld.runtime.errors import InputError


def load_variable(path: Path, name: str) -> np.ndarray:
    """Load one variable of a MATLAB file.

    Raises:
        InputError: the file is missing, cannot be read, or has no such variable.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; fetch it again")
    try:
        contents = loadmat(path, variable_names=[name])
    except Exception as error:  # what scipy's parsers meet in a broken file escapes as a dozen kinds of error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path}: not readable as a MATLAB file ({reason}); fetch it again") from error
    if name not in contents:
        raise InputError(f"{path}: no variable '{name}'; fetch it again")
    return np.atleast_1d(contents[name])


def records(value: object) -> Iterator[dict[str, object]]:
    """The records of a struct array of any shape, however deep in cells: values by lower-case field name."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names:
        for record in value.ravel():
            yield {name.lower(): record[name] for name in value.dtype.names}
    elif value.dtype == object:
        for cell in value.ravel():
            yield from records(cell)


def numbers(value: object) -> np.ndarray:
    """A numeric field as a float array; a field that is not numeric raises ValueError."""
    try:
        return np.asarray(unwrap(value), dtype=float)
    except TypeError as error:
        raise ValueError(str(error)) from error


def text(value: object) -> str:
    """A string field; empty where the field is."""
    value = unwrap(value)
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return str(value).strip()


def unwrap(value: object) -> object:
    """A field without the 1×1 cells around it."""
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.item()
    return value
