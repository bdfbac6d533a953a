"""The demo camera: its calibration, and the path along which it looks at a kitchen counter.

Kitchen coordinates are metres with the counter's top at z = 0, x along the counter and the wall at +y.
"""

from collections.abc import Sequence

import numpy as np

from data_prep.kitchen.gmu.camera import Calibration, Pose
from data_prep.kitchen.gmu.layout import CALIBRATION, FRAME_SIZE

UP = np.array([0.0, 0.0, 1.0])


def scaled_calibration(width: int, height: int) -> Calibration:
    """The published camera for frames of another size, with the same field of view across.

    Pixels are addressed by their centres, so the principal point scales about the frame's border at -0.5.
    """
    ratio = width / FRAME_SIZE[0]
    return Calibration(
        fx=CALIBRATION["fx"] * ratio,
        fy=CALIBRATION["fy"] * ratio,
        cx=(CALIBRATION["cx"] + 0.5) * ratio - 0.5,
        cy=(CALIBRATION["cy"] + 0.5 - FRAME_SIZE[1] / 2) * ratio + height / 2 - 0.5,
    )


def look_at(eye: Sequence[float], target: Sequence[float], roll: float = 0.0) -> Pose:
    """Pose of a camera at ``eye`` that looks at ``target``, not straight down, tilted by ``roll`` radians."""
    away = np.asarray(eye, float) - np.asarray(target, float)
    back = away / np.linalg.norm(away)
    right = np.cross(UP, back)
    right /= np.linalg.norm(right)
    upward = np.cross(back, right)
    cos, sin = np.cos(roll), np.sin(roll)
    rotation = np.stack([cos * right + sin * upward, cos * upward - sin * right, back])
    return Pose(rotation, -rotation @ eye)


def camera_path(n_frames: int, n_away: int, rng: np.random.Generator) -> list[Pose]:
    """A hand-held sweep past the counter, densely sampled; the last ``n_away`` frames see its empty end."""
    reach, near, far = rng.uniform(0.42, 0.55), rng.uniform(0.62, 0.7), rng.uniform(0.78, 0.92)
    low, high = rng.uniform(0.28, 0.36), rng.uniform(0.44, 0.58)
    sway, bob = rng.uniform(0, 2 * np.pi, 2)
    side = rng.choice([-1.0, 1.0])
    poses = []
    for t in np.linspace(0, 1, n_frames - n_away):
        x = side * reach * np.cos(np.pi * t)
        y = -near - (far - near) * (0.5 + 0.5 * np.sin(2.3 * np.pi * t + sway))
        z = low + (high - low) * (0.5 + 0.5 * np.sin(1.7 * np.pi * t + bob))
        target = (0.45 * x + 0.03 * np.sin(9 * t + bob), 0.02, 0.06 + 0.02 * np.sin(7 * t + sway))
        poses.append(look_at((x, y, z), target, 0.04 * np.sin(5 * t + sway)))
    for t in range(n_away):
        poses.append(look_at((-side * 0.95, -0.75, 0.45), (-side * (1.6 + 0.02 * t), 0.1, 0.1)))
    return poses


def to_reconstruction(pose: Pose, scale: float, rotation: np.ndarray, origin: np.ndarray) -> Pose:
    """The same camera in the units and axes of a reconstruction.

    Args:
        pose: kitchen to camera, in metres.
        scale: reconstruction units per metre (positive).
        rotation: kitchen axes to reconstruction axes (3, 3).
        origin: the kitchen's origin there (3,): ``world = scale · rotation · kitchen + origin``.
    """
    turned = pose.rotation @ rotation.T
    return Pose(turned, scale * pose.translation - turned @ origin)
