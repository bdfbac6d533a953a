"""Ray casting of a textured mesh with Open3D: what each pixel sees, and what is in shadow."""

from dataclasses import dataclass

import numpy as np

from data_prep.kitchen.gmu.camera import Calibration, Pose
from data_prep.kitchen.open3d_import import import_open3d
from data_prep.synthetic.kitchen.meshes import Mesh


@dataclass(frozen=True)
class Hits:
    """What P rays meet: depth along the optical axis (inf: nothing), triangle (-1: nothing), barycentrics."""

    depth: np.ndarray
    triangle: np.ndarray
    weights: np.ndarray

    def interpolate(self, corner_values: np.ndarray) -> np.ndarray:
        """Values (P, C) at the hits, from values at the triangles' corners (T, 3, C)."""
        return np.einsum("pk,pkc->pc", self.weights, corner_values[self.triangle])


class RayCaster:
    """One mesh (metres), ready to be looked at."""

    def __init__(self, mesh: Mesh):
        open3d = import_open3d()
        self._tensor = open3d.core.Tensor
        self._scene = open3d.t.geometry.RaycastingScene(nthreads=1)
        vertices = np.ascontiguousarray(mesh.corners.reshape(-1, 3), np.float32)
        triangles = np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3)
        self._scene.add_triangles(self._tensor(vertices), self._tensor(triangles))

    def cast(self, pose: Pose, calibration: Calibration, pixels: np.ndarray) -> Hits:
        """Cast a ray through each of ``pixels`` (P, 2), which may lie outside the frame."""
        rays = np.empty((len(pixels), 6), np.float32)
        rays[:, :3] = pose.centre
        rays[:, 3:] = ray_directions(pose, calibration, pixels)
        found = self._scene.cast_rays(self._tensor(rays), nthreads=1)
        u, v = found["primitive_uvs"].numpy().T
        depth = found["t_hit"].numpy()
        triangle = np.where(np.isfinite(depth), found["primitive_ids"].numpy().astype(np.int64), -1)
        return Hits(depth, triangle, np.stack([1 - u - v, u, v], axis=1))

    def lit(self, points: np.ndarray, light: np.ndarray) -> np.ndarray:
        """Whether nothing stands between ``points`` (P, 3) and the point ``light`` (3,): bool (P,)."""
        rays = np.concatenate([points, light - points], axis=1).astype(np.float32)
        blocked = self._scene.test_occlusions(self._tensor(rays), tnear=0.0, tfar=1.0, nthreads=1)
        return ~blocked.numpy()


def pixel_grid(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """Pixel coordinates (P, 2) of a rectangle, row by row; right and bottom exclusive."""
    v, u = np.mgrid[top:bottom, left:right]
    return np.stack([u.ravel(), v.ravel()], axis=1)


def ray_directions(pose: Pose, calibration: Calibration, pixels: np.ndarray) -> np.ndarray:
    """World directions (P, 3) through pixels, of length 1 along the optical axis: a hit's t is its depth."""
    x = (pixels[:, 0] - calibration.cx) / calibration.fx
    y = -(pixels[:, 1] - calibration.cy) / calibration.fy
    return np.stack([x, y, -np.ones_like(x)], axis=1) @ pose.rotation
