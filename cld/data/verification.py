"""Check a store against its checksums."""

import hashlib
from itertools import pairwise
from pathlib import Path

import h5py

from cld.data.store_checksums import combined, datasets, file_sha256, is_jpegs, megabytes, sha256, sidecar
from cld.data.store_format import open_store, read_info
from cld.runtime.errors import InputError
from cld.runtime.progress import Progress, progress

#: Two seconds' reading, more or less: larger stores are not read through when a job opens them.
WHOLE_BYTES = 4 * 10**9


def verify(path: str | Path) -> str:
    """Read a whole store and check it against its checksums.

    Returns:
        One line that names what was checked.

    Raises:
        InputError: the file, or a dataset in it, is damaged; names it.
    """
    info, beside = read_info(path), sidecar(path)
    counts = ", ".join(f"{n} {split}" for split, n in info.sizes.items())
    if beside.exists() and _is_as_sealed(path):
        return f"{path}: whole ({counts})"
    require_content(path, info.checksum)
    if beside.exists():
        raise InputError(
            f"{path}: damaged outside its images and labels (the file's SHA-256 is not {beside.name}'s); "
            "build the store again"
        )
    return f"{path}: images and labels are whole ({counts}); the rest is not checked: {beside} is missing"


def require_whole(path: str | Path) -> None:
    """Check a store's file, before HDF5 reads in it, against the checksum beside it; says so.

    A job does it once. A file of more than WHOLE_BYTES is not read through: its JPEGs are checked one by one,
    when they are read.

    Raises:
        InputError: it is damaged.
    """
    path, beside = Path(path), sidecar(path)
    if not path.is_file():  # its reader reports that
        return
    if not beside.exists():
        found = f"is not checked: {beside.name} is missing"
    elif path.stat().st_size > WHOLE_BYTES:
        found = "is checked image by image"
    elif _is_as_sealed(path):
        found = "is whole"
    else:
        raise InputError(
            f"{path}: damaged (its SHA-256 is not that of {beside.name}); build the store again "
            f"(cld verify {path} says what is damaged)"
        )
    print(f"{path}: {found}", flush=True)


def _is_as_sealed(path: str | Path) -> bool:
    """Whether a file has the checksum that lies beside it."""
    return sidecar(path).read_bytes().startswith(file_sha256(path).encode())


def require_content(path: str | Path, checksum: str) -> None:
    """Check each dataset against its checksum, and all of them against the store's.

    Raises:
        InputError: a dataset is damaged; names it.
    """
    with open_store(path) as store, progress("verify", megabytes(store), "MB") as bar:
        for name, dataset in datasets(store):
            if is_jpegs(name):
                _require_jpegs(path, name, dataset.parent, bar)
                continue
            if sha256(dataset) != dataset.attrs["sha256"]:
                raise InputError(f"{path}: {name} is damaged (its SHA-256 differs); build the store again")
            bar.advance(dataset.nbytes >> 20)
        if combined(store) != checksum:
            raise InputError(f"{path}: its content differs from its checksum; build the store again")


def _require_jpegs(path: str | Path, name: str, split: h5py.Group, bar: Progress) -> None:
    jpegs, offsets, digests = split["jpeg"], split["offsets"][:].tolist(), split["sha256"][:]
    for row, (start, stop) in enumerate(pairwise(offsets)):
        if hashlib.sha256(jpegs[start:stop]).digest() != digests[row].tobytes():
            raise InputError(
                f"{path}: {name} is damaged (the SHA-256 of image {row} differs); build the store again"
            )
        if row % 1000 == 999:
            bar.advance((stop - offsets[row - 999]) >> 20)
