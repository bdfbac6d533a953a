"""The kitchen dataset's camera: world points to pixels, and sensor depth to distance.

Upstream's convention is OpenGL-like. With ``camera = R·world + T`` and Z negative before the camera::

    u = −X·fx/Z + cx        v = Y·fy/Z + cy        Z = sensor metres × the scene's (negative) depth scale

``u, v`` index pixels, as upstream rounds them to do: u = 0 is the centre of the first column, and a box whose
edges lie on pixel borders spans ``u + 0.5``.
"""

from dataclasses import dataclass

import numpy as np


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
