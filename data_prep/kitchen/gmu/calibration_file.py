"""The kitchen dataset's ``calib_color.yaml``: plain ``fx: …`` keys, or an OpenCV ``%YAML:1.0`` matrix."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from cld.runtime.errors import InputError
from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.camera import Calibration


def read_calibration(path: Path) -> Calibration:
    """Read the colour camera from plain ``fx, fy, cx, cy`` keys or an OpenCV 3×3 matrix.

    Raises:
        InputError: missing, not YAML, or without a camera in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        published = ", ".join(f"{key}: {value}" for key, value in layout.CALIBRATION.items())
        raise InputError(
            f"{path}: not readable ({error}); fetch it again, or write the published values: {published}"
        ) from error
    # OpenCV's header "%YAML:1.0" is not YAML's own "%YAML 1.0", and a document marker may follow it.
    text = re.sub(r"\A%YAML:.*\n(---.*\n)?", "", text)
    try:
        document = yaml.load(text, Loader=_OpenCvLoader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not readable as YAML ({reason}); fetch it again") from error
    camera = _plain_camera(document) or _matrix_camera(document)
    if camera is None:
        raise InputError(f"{path}: neither the keys fx, fy, cx, cy nor a 3×3 camera matrix; fetch it again")
    return camera


class _OpenCvLoader(yaml.SafeLoader):
    """YAML with OpenCV's matrices."""


def _opencv_matrix(loader: yaml.Loader, node: yaml.Node) -> np.ndarray | None:
    fields = loader.construct_mapping(node, deep=True)
    try:
        return np.array(fields["data"], dtype=float).reshape(fields["rows"], fields["cols"])
    except (KeyError, TypeError, ValueError):
        return None


_OpenCvLoader.add_constructor("tag:yaml.org,2002:opencv-matrix", _opencv_matrix)


def _values(document: object) -> Iterator[tuple[str, object]]:
    """Every key and value of a document, at any depth."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield str(key), value
            yield from _values(value)


def _plain_camera(document: object) -> Calibration | None:
    found = {key.lower().removesuffix("_rgb"): value for key, value in _values(document)}
    try:
        return Calibration(*(float(found[key]) for key in ("fx", "fy", "cx", "cy")))
    except (KeyError, TypeError, ValueError):
        return None


def _matrix_camera(document: object) -> Calibration | None:
    for key, value in _values(document):
        if re.search(r"camera|intrinsic|^k$", key, re.IGNORECASE):
            try:
                matrix = np.array(value, dtype=float).reshape(3, 3)
            except (TypeError, ValueError):
                continue
            return Calibration(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    return None
