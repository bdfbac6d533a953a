"""The text files: names of the classes, and the ten folds of the training images."""

from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.source_files import FETCH_AGAIN, FileDigest, read_file

N_FOLDS = 10


def read_class_names(path: Path, root: Path, md5: str | None) -> tuple[list[str], FileDigest]:
    """The names, one a line, in the order of the labels.

    Raises:
        InputError: the file is missing or cannot be read, or a name is empty or stands twice.
    """
    lines, digest = _read_lines(path, root, md5)
    names = [line.strip() for line in lines]
    if not names or not all(names) or len(set(names)) != len(names):
        raise InputError(f"{path}: must have one class a line, each once; {FETCH_AGAIN}")
    return names, digest


def read_folds(path: Path, root: Path, md5: str | None, n_train: int) -> tuple[list[np.ndarray], FileDigest]:
    """The folds, one a line: indices, counted from 0, of training images.

    Raises:
        InputError: the file is missing or cannot be read, or a fold is not a set of training images; names
            the line.
    """
    lines, digest = _read_lines(path, root, md5)
    if len(lines) != N_FOLDS:
        raise InputError(f"{path}: {len(lines)} lines, one a fold, and must have {N_FOLDS}; {FETCH_AGAIN}")
    return [_fold(f"{path}: line {n}", line, n_train) for n, line in enumerate(lines, start=1)], digest


def _fold(where: str, line: str, n_train: int) -> np.ndarray:
    try:
        fold = np.array([int(word) for word in line.split()], dtype=np.int64)
    except (ValueError, OverflowError):
        fold = np.array([], dtype=np.int64)
    if len(fold) == 0 or fold.min() < 0 or fold.max() >= n_train or len(np.unique(fold)) != len(fold):
        raise InputError(
            f"{where}: is not a list of indices, each once, of the {n_train} training images; {FETCH_AGAIN}"
        )
    return fold


def _read_lines(path: Path, root: Path, md5: str | None) -> tuple[list[str], FileDigest]:
    content, digest = read_file(path, root, md5)
    try:
        return content.decode("utf-8").splitlines(), digest
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text ({error.reason}); {FETCH_AGAIN}") from error
