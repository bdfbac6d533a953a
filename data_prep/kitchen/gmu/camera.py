"""The kitchen dataset's camera: world points to pixels, and sensor depth to distance.

Upstream's convention is OpenGL-like. With ``camera = R·world + T`` and Z negative before the camera::

    u = −X·fx/Z + cx        v = Y·fy/Z + cy        Z = sensor metres × the scene's (negative) depth scale

``u, v`` index pixels, as upstream rounds them to do: u = 0 is the centre of the first column, and a box whose
edges lie on pixel borders spans ``u + 0.5``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.kitchen.gmu import layout

_NUMBER = r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?"


@dataclass(frozen=True)
class Calibration:
    """Pinhole camera, in pixels."""

    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True, eq=False)
class Pose:
    """World to camera: ``rotation`` (3, 3) and ``translation`` (3,) in reconstruction units."""

    rotation: np.ndarray
    translation: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """The camera's place in the world, (3,)."""
        return -self.rotation.T @ self.translation


def project(points: np.ndarray, pose: Pose, calibration: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """Project world ``points`` (N, 3) to pixels (N, 2) and camera Z (N,), negative before the camera.

    Points on or behind the camera's plane have NaN pixels.
    """
    x, y, z = (points @ pose.rotation.T + pose.translation).T
    z_before = np.where(z < 0, z, np.nan)
    u = -x * calibration.fx / z_before + calibration.cx
    v = y * calibration.fy / z_before + calibration.cy
    return np.stack([u, v], axis=1), z


def distances(pixels: np.ndarray, metres: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Distance from the camera (N,) in metres along the ray; sensor depth runs along the optical axis."""
    x = (pixels[:, 0] - calibration.cx) / calibration.fx
    y = (pixels[:, 1] - calibration.cy) / calibration.fy
    return metres * np.sqrt(1 + x**2 + y**2)


def read_calibration(path: Path) -> Calibration:
    """Read ``calib_color.yaml``: ``fx, fy, cx, cy`` (also ``fx_rgb`` …), or a 3×3 camera matrix.

    The numbers are searched for in the text: OpenCV's header ``%YAML:1.0`` and its ``!!opencv-matrix`` are
    not YAML that a YAML parser accepts.
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
