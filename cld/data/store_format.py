"""The HDF5 file of a store: its layout, how it is opened and how it is written.

Layout (format version 2), one group a split; images are arrays of one size, or JPEGs of any:

    /<split>/images   uint8  (N, H, W, 3)                      kind "arrays"
    /<split>/jpeg     uint8  (all images end to end)            kind "jpeg"
    /<split>/offsets  int64  (N + 1,), where each JPEG begins; /<split>/sha256 uint8 (N, 32), of each JPEG
    /<split>/labels   int64  (N,), -1 where an image has none
    /<split>/boxes    float32 (M, 4), where objects are annotated: left, top, right, bottom in pixels,
                      0-based, right and bottom exclusive; with box_labels int64 (M,), difficult and
                      truncated uint8 (M,), box_offsets int64 (N + 1,), where each image's begin
    attributes of the file: format, version, kind, dataset, preset, classes, mean, std, sources, config,
    checksum
    attribute of each other dataset: sha256 of its content

``mean`` and ``std`` are per RGB channel in [0, 1]; views are normalised with them. ``sources`` is JSON (what
the store was made from, with checksums), ``config`` is JSON (the settings that made it) and ``checksum`` is
the SHA-256 over the checksums of the datasets. Beside a store ``x.h5`` lies ``x.h5.sha256``, the checksum of
the whole file in the format of sha256sum. ``cld verify x.h5`` checks all of them.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cld.data.store_checksums import combined, file_sha256, seal, sha256, sidecar
from cld.runtime.errors import InputError
from cld.runtime.files import atomic_path, write_text

FORMAT = "cld-store"
VERSION = 2
ARRAYS, JPEG = "arrays", "jpeg"
SPLITS = ("train", "unlabelled", "val", "test")
"""The order in which splits are listed; HDF5 has none."""
#: Side of what a network sees of JPEGs, which differ in size.
JPEG_SIDE = 224
_LAYOUT = {
    "images": ("u1", (None, None, None, 3)),
    "jpeg": ("u1", (None,)),
    "offsets": ("i8", (None,)),
    "sha256": ("u1", (None, 32)),
    "labels": ("i8", (None,)),
    "boxes": ("f4", (None, 4)),
    "box_labels": ("i8", (None,)),
    "difficult": ("u1", (None,)),
    "truncated": ("u1", (None,)),
    "box_offsets": ("i8", (None,)),
}
"""Each dataset's type and shape; None: any number."""


@dataclass(frozen=True)
class StoreInfo:
    """A store's description; see :mod:`cld.data.store_format` for the meaning of each attribute.

    ``sizes`` is images by split; ``image_size`` is None where images differ in size (kind "jpeg").
    """

    dataset: str
    preset: str
    kind: str
    classes: list[str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sizes: dict[str, int]
    image_size: int | None
    has_objects: bool
    sources: Any
    config: dict
    checksum: str


def view_side(image_size: int | str, info: StoreInfo) -> int:
    """Side of the views in pixels; ``auto``: that of the images, or JPEG_SIDE where images differ in size."""
    return (info.image_size or JPEG_SIDE) if image_size == "auto" else int(image_size)


@dataclass(frozen=True)
class Description:
    """What a builder states about the store it writes.

    Attributes:
        dataset: name of the dataset.
        preset: the scale it was built for.
        classes: names, in the order of the labels.
        sources: what the store was made from, with checksums; JSON values.
        config: the settings that made it; JSON values.
        mean, std: per RGB channel in [0, 1]; None: computed from the training split.
    """

    dataset: str
    preset: str
    classes: list[str]
    sources: Any
    config: Mapping[str, object]
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


def write_file(
    path: str | Path, kind: str, description: Description, fill: Callable[[h5py.File], None]
) -> StoreInfo:
    """Write a store atomically; ``fill`` writes the splits. Returns the store's description."""
    with atomic_path(path) as temporary:
        with h5py.File(temporary, "w", locking=False) as store:  # nobody else knows the file
            fill(store)
            seal(store)
            store.attrs.update(
                {
                    "format": FORMAT,
                    "version": VERSION,
                    "kind": kind,
                    "dataset": description.dataset,
                    "preset": description.preset,
                    "classes": json.dumps(description.classes),
                    "mean": description.mean,
                    "std": description.std,
                    "sources": json.dumps(description.sources),
                    "config": json.dumps(dict(description.config)),
                    "checksum": combined(store),
                }
            )
        digest = file_sha256(temporary)
        # a build that ends here leaves a store without a file checksum rather than with a wrong one
        sidecar(path).unlink(missing_ok=True)
    write_text(sidecar(path), f"{digest}  {Path(path).name}\n")
    return read_info(path)


def check_splits(path: str | Path, labels: Mapping[str, np.ndarray], description: Description) -> None:
    """Refuse splits that cannot make a store.

    Raises:
        InputError: a split is empty or ``train`` is missing, a label is neither -1 nor an index into the
            classes, or two classes share a name.
    """
    dataset, classes = description.dataset, description.classes
    if "train" not in labels:
        raise InputError(f"{path}: a store needs a 'train' split; got {', '.join(labels) or 'none'}")
    repeated = next((name for name in classes if classes.count(name) > 1), None)
    if repeated is not None:
        raise InputError(
            f"{path}: class '{repeated}' is there twice; give each class of {dataset} its own name"
        )
    for name, values in labels.items():
        if len(values) == 0:
            raise InputError(f"{path}: split '{name}' is empty; change {dataset}'s split rule or filters")
        if values.min() < -1 or values.max() >= len(classes):
            raise InputError(f"{path}: split '{name}' has labels outside 0..{len(classes) - 1}")


def read_info(path: str | Path) -> StoreInfo:
    """Read a store's description without its images.

    Raises:
        InputError: the file is missing, is not HDF5, or is not a store of this version.
    """
    with open_store(path) as store:
        attributes, train = store.attrs, store["train"]
        return StoreInfo(
            dataset=attributes["dataset"],
            preset=attributes["preset"],
            kind=attributes["kind"],
            classes=json.loads(attributes["classes"]),
            mean=_triple(attributes["mean"]),
            std=_triple(attributes["std"]),
            sizes={name: len(store[name]["labels"]) for name in sorted(store, key=_place)},
            image_size=train["images"].shape[1] if "images" in train else None,
            has_objects="boxes" in train,
            sources=json.loads(attributes["sources"]),
            config=json.loads(attributes["config"]),
            checksum=attributes["checksum"],
        )


@contextmanager
def open_store(path: str | Path) -> Iterator[h5py.File]:
    """Open a store to read.

    Raises:
        InputError: the file is missing, unreadable, not HDF5, not a store of this version or damaged, or does
            not fit into memory.
    """
    try:
        if not Path(path).is_file():
            raise InputError(f"{path}: no such store; build it first")
        # written whole under a name of its own: no lock is needed, which some file systems do not have
        with h5py.File(path, "r", locking=False) as store:
            if (store.attrs.get("format"), store.attrs.get("version")) != (FORMAT, VERSION):
                raise InputError(
                    f"{path}: not a {FORMAT} of version {VERSION}; build it again, or name another"
                )
            _require_layout(store)
            yield store
    except InputError:
        raise
    except PermissionError as error:
        raise InputError(f"{path}: may not be read; fix its permissions") from error
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory ({error}); free some") from error
    except Exception as error:  # a damaged file can fail anywhere in the reader
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not readable as a store ({reason}); if its disk is well, build it again"
        ) from error


def read_group(path: str | Path, store: h5py.File, name: str) -> h5py.Group:
    """A split's group.

    Raises:
        InputError: the store has no such split; names those it has.
    """
    if name not in store:
        raise InputError(f"{path}: no split '{name}'; it has {', '.join(store)}")
    return store[name]


def read_whole(path: str | Path, dataset: h5py.Dataset) -> np.ndarray:
    """All of a dataset, checked against its checksum.

    Raises:
        InputError: it is damaged; names it.
    """
    values = dataset[:]
    if sha256(values) != dataset.attrs["sha256"]:
        raise InputError(
            f"{path}: {dataset.name[1:]} is damaged (its SHA-256 differs); build the store again"
        )
    return values


def read_labels(path: str | Path, split: str) -> np.ndarray:
    """The labels of a fully labelled split, int64 (N,).

    Raises:
        InputError: the store cannot be read or has no such split, or some of its images have no label.
    """
    with open_store(path) as store:
        labels = read_whole(path, read_group(path, store, split)["labels"])
    if n := int((labels < 0).sum()):
        raise InputError(
            f"{path}: {n} of {len(labels)} images of split '{split}' have no label, so they cannot be "
            f"classified; name a labelled split"
        )
    return labels


def _place(split: str) -> tuple[int, str]:
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)


def _require_layout(store: h5py.File) -> None:
    """Check that a file has what the layout names; what is in it, the checksums hold.

    Raises:
        ValueError: names what it has not.
    """
    attributes = store.attrs
    required = {ARRAYS: {"images", "labels"}, JPEG: {"jpeg", "offsets", "sha256", "labels"}}
    for name in ("kind", "dataset", "preset", "classes", "sources", "config", "checksum"):
        if not isinstance(attributes.get(name), str):
            raise ValueError(f"its attribute {name} is missing or no text")
    for name in ("mean", "std"):
        if not (np.shape(values := attributes.get(name)) == (3,) and np.isfinite(values).all()):
            raise ValueError(f"its attribute {name} is no three numbers")
    if attributes["kind"] not in required or "train" not in store:
        raise ValueError("it is of no known kind, or has no split 'train'")
    for split, group in store.items():
        if not isinstance(group, h5py.Group) or not required[attributes["kind"]] <= set(group):
            raise ValueError(f"split '{split}' is incomplete")
        for name in group.keys() & _LAYOUT.keys():
            kind, shape = _LAYOUT[name]
            found = getattr(group[name], "shape", ())
            fits = len(found) == len(shape) and all(n in (None, m) for n, m in zip(shape, found, strict=True))
            if not fits or group[name].dtype != kind:
                raise ValueError(f"{split}/{name} is of another type or shape")
        n = len(group["labels"])
        counts = {"images": n, "offsets": n + 1, "sha256": n, "box_offsets": n + 1}
        if n == 0 or any(name in group and len(group[name]) != count for name, count in counts.items()):
            raise ValueError(f"split '{split}' has not as many images as labels")


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
