"""MATLAB struct arrays as plain records."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from cld.runtime.errors import InputError


def load_variable(path: Path, name: str) -> object:
    """Load one variable of a MATLAB file; what is 1×1 (a number, a cell around a string) comes bare.

    Raises:
        InputError: the file is missing, cannot be read, or has no such variable.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; fetch it again")
    try:
        contents = loadmat(path, variable_names=[name], squeeze_me=True)
    except Exception as error:  # a broken file makes scipy's parsers raise a dozen kinds of error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path}: not readable as a MATLAB file ({reason}); fetch it again") from error
    if name not in contents:
        raise InputError(f"{path}: no variable '{name}'; fetch it again")
    return contents[name]


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
