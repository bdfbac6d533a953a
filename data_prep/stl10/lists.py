"""The text files: names of the classes, and the ten folds of the training images."""

from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.image_files import FileDigest
from data_prep.common.published_files import FETCH_AGAIN, read_file

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
    words = line.split()
    bad = next((word for word in words if not (word.isascii() and word.isdigit()) or len(word) > 9), None)
    if bad is not None:
        raise InputError(f"{where}: '{bad[:20]}' is no index of an image; {FETCH_AGAIN}")
    fold = np.array(words, dtype=np.int64)
    if len(fold) == 0:
        raise InputError(f"{where}: the fold is empty; {FETCH_AGAIN}")
    if fold.max() >= n_train:
        raise InputError(
            f"{where}: index {fold.max()} is outside the {n_train} training images; {FETCH_AGAIN}"
        )
    if len(np.unique(fold)) != len(fold):
        raise InputError(f"{where}: an image stands twice in the fold; {FETCH_AGAIN}")
    return fold


def _read_lines(path: Path, root: Path, md5: str | None) -> tuple[list[str], FileDigest]:
    content, digest = read_file(path, root, md5)
    try:
        return content.decode("utf-8").splitlines(), digest
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text ({error.reason}); {FETCH_AGAIN}") from error
