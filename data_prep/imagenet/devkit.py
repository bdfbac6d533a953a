"""The classes' names and the classes of the validation images.

Either comes from the development kit as published (``ILSVRC2012_devkit_t12.tar.gz``) or from the tables of
Kaggle's edition (``LOC_synset_mapping.txt``, ``LOC_val_solution.csv``); the latter also from Tiny-ImageNet's
table (``val/val_annotations.txt``).
"""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from cld.runtime.errors import InputError
from data_prep.common.source_files import read_lines

KIT = "ILSVRC2012_devkit_t12"
ARCHIVE = f"{KIT}.tar.gz"
MAPPING, SOLUTION = "LOC_synset_mapping.txt", "LOC_val_solution.csv"
TINY = "val/val_annotations.txt"
META, TRUTH = f"{KIT}/data/meta.mat", f"{KIT}/data/ILSVRC2012_validation_ground_truth.txt"


def class_names(root: Path, synsets: Sequence[str]) -> list[str]:
    """A name for each synset: its first word; with the synset behind it where several have the same.

    Synsets themselves are the names where nothing in ``root`` has words for them.
    """
    words = {}
    if (root / MAPPING).is_file():
        words = _table(root / MAPPING, r"(\S*) (.+)", "synset words")
    elif (root / ARCHIVE).is_file():
        words = dict(_meta(root).values())
    first = [words.get(synset, synset).split(",")[0].strip() or synset for synset in synsets]
    return [
        f"{name} ({synset})" if first.count(name) > 1 else name
        for name, synset in zip(first, synsets, strict=True)
    ]


def validation_synsets(root: Path) -> dict[str, str]:
    """The synset of each validation image, by its name without suffix.

    Raises:
        InputError: there is no file that says so, or it is damaged.
    """
    if not (root / ARCHIVE).is_file():
        if (root / SOLUTION).is_file():
            # the header is a pair as well, of no image
            return _table(root / SOLUTION, r"([^,]+),\s*([^\s,]+)[^,]*$", "image,synset and boxes")
        if (root / TINY).is_file():
            return _table(root / TINY, r"\s*(\S+?)(?:\.\w+)?\s+(\S+)", "image synset and box")
        raise InputError(
            f"{root}: the validation images lie in one folder, and nothing says what they show; "
            f"add {ARCHIVE}, or {SOLUTION}, or Tiny-ImageNet's {TINY}"
        )
    meta = _meta(root)
    where, content = _kit_file(root, TRUTH)
    truth = {}
    for number, line in enumerate(content.decode("ascii", "replace").split(), start=1):
        if not line.isdigit() or int(line) not in meta:
            raise InputError(f"{where}, line {number}: '{line}' is no class of meta.mat; fetch it again")
        truth[f"ILSVRC2012_val_{number:08d}"] = meta[int(line)][0]
    return truth


def _table(path: Path, pattern: str, form: str) -> dict[str, str]:
    """The pairs of a table of one a line: what the two groups of ``pattern`` match."""
    pairs = {}
    for number, line in enumerate(read_lines(path), start=1):
        match = re.match(pattern, line)
        if match is None:
            raise InputError(f"{path}, line {number}: '{line[:80]}' is not '{form}'; fetch it again")
        pairs[match[1]] = match[2]
    return pairs


def _kit_file(root: Path, name: str) -> tuple[str, bytes]:
    """A file of the kit: where it is, for messages, and its bytes."""
    archive = root / ARCHIVE
    try:
        # unpacked to its end, where gzip's checksum is: a damaged meta.mat could crash scipy's reader
        with gzip.open(archive) as packed:
            unpacked = io.BytesIO(packed.read())
        with tarfile.open(fileobj=unpacked, mode="r:") as kit:
            return f"{archive}: {name}", kit.extractfile(name).read()
    except KeyError:
        raise InputError(f"{archive}: holds no {name}; fetch it again") from None
    except (tarfile.TarError, OSError, EOFError, zlib.error, AttributeError) as error:
        raise InputError(f"{archive}: damaged or cut short ({error}); fetch it again") from error


def _meta(root: Path) -> dict[int, tuple[str, str]]:
    """Synset and words by ILSVRC2012_ID, of the synsets that are classes."""
    where, content = _kit_file(root, META)
    try:
        rows = np.atleast_1d(loadmat(io.BytesIO(content), squeeze_me=True)["synsets"])
        # ILSVRC2012_ID, WNID, words, gloss, num_children: classes are the synsets without children
        return {int(row[0]): (str(row[1]), str(row[2])) for row in rows if int(row[4]) == 0}
    except Exception as error:  # whatever scipy makes of a damaged file
        raise InputError(f"{where}: not readable ({' '.join(str(error).split())}); fetch it again") from error
