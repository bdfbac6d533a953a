"""The kitchen dataset's ``calib_color.yaml``: plain ``fx: …`` keys, or a 3×3 matrix as OpenCV writes it."""

import re
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.camera import Calibration

_NUMBER = r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?"


def read_calibration(path: Path) -> Calibration:
    """Read the colour camera from ``fx, fy, cx, cy`` (also ``fx_rgb`` …) or a camera matrix of nine numbers.

    The numbers are searched for in the text: OpenCV's header ``%YAML:1.0`` and its ``!!opencv-matrix`` are
    not YAML that a YAML parser accepts.

    Raises:
        InputError: missing, or without a camera in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        published = ", ".join(f"{key}: {value}" for key, value in layout.CALIBRATION.items())
        raise InputError(
            f"{path}: not readable ({error}); fetch it again, or write the published values: {published}"
        ) from error
    plain = dict(re.findall(rf"\b(fx|fy|cx|cy)(?:_rgb)?: *({_NUMBER})", text.lower()))
    if len(plain) == 4:
        return Calibration(*(float(plain[key]) for key in ("fx", "fy", "cx", "cy")))
    matrix = re.search(r"(?:camera|intrinsic)[^\[]*\[([^:]*)\]", text, re.IGNORECASE)
    numbers = [float(number) for number in re.findall(_NUMBER, matrix[1])] if matrix else []
    if len(numbers) != 9:
        raise InputError(f"{path}: neither the keys fx, fy, cx, cy nor a 3×3 camera matrix; fetch it again")
    return Calibration(fx=numbers[0], fy=numbers[4], cx=numbers[2], cy=numbers[5])
