"""A scene's camera poses, from the MATLAB file ``scene_<s>_reconstruct_info_frame_sort.mat``."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from cld.runtime.errors import InputError
from data_prep.kitchen.gmu.camera import Pose


def read_poses(path: Path) -> dict[int, Pose | None]:
    """Read a scene's poses by frame number, in the file's order; None where an entry is not a rotation.

    Raises:
        InputError: the file is missing, not MATLAB's, or names no frame.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; fetch it again")
    try:
        frames = loadmat(path, variable_names=["frames"], squeeze_me=True).get("frames")
    except Exception as error:  # a broken file makes scipy's parsers raise a dozen kinds of error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path}: not readable as a MATLAB file ({reason}); fetch it again") from error
    poses = {}
    for record in _records(frames):
        name, rotation, translation = _pose_fields(record)
        number = trailing_number(name)
        if number is not None:
            poses[number] = _pose(rotation, translation)
    if not poses:
        raise InputError(f"{path}: its variable 'frames' names no frame; fetch it again")
    return poses


def trailing_number(name: object) -> int | None:
    """The number that ends a file's name, whatever its folder and extension; None where there is none."""
    match = re.search(r"(\d+)(?:\.[A-Za-z]\w*)?$", re.split(r"[\\/]", str(name).strip())[-1])
    return int(match[1]) if match else None


def _records(value: object) -> Iterator[dict[str, object]]:
    """The records of a struct array of any shape, however deep in cells: values by lower-case field name."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names:
        for record in value.ravel():
            yield {name.lower(): record[name] for name in value.dtype.names}
    elif value.dtype == object:
        for cell in value.ravel():
            yield from _records(cell)


def _pose_fields(record: dict[str, object]) -> tuple[object, object, object]:
    """Image name, rotation and translation of one record: by field name, or else by shape."""
    if {"rw2c", "tw2c", "imgname"} <= record.keys():
        return record["imgname"], record["rw2c"], record["tw2c"]
    name, rotation, translation = "", None, None
    for value in record.values():
        if isinstance(value, str):
            name = value
        elif np.shape(value) == (3, 3):
            rotation = value
        # (f, k1, k2) has three numbers as well, but stands before the rotation
        elif np.size(value) == 3 and rotation is not None:
            translation = value
    return name, rotation, translation


def _pose(rotation: object, translation: object) -> Pose | None:
    try:
        turn = np.asarray(rotation, dtype=float).reshape(3, 3)
        shift = np.asarray(translation, dtype=float).reshape(3)
    except (TypeError, ValueError):
        return None
    is_rotation = np.allclose(turn @ turn.T, np.eye(3), atol=1e-2)
    return Pose(turn, shift) if is_rotation and np.isfinite(shift).all() else None
