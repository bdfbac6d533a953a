"""From what the rays hit to what the colour camera shows: print, light, shadow, exposure, noise."""

import numpy as np
from PIL import Image, ImageFilter

from data_prep.kitchen.gmu.camera import Pose
from data_prep.synthetic.kitchen.kitchen_scene import Kitchen
from data_prep.synthetic.kitchen.meshes import Mesh
from data_prep.synthetic.kitchen.ray_caster import Hits, RayCaster

SHADOW_OFFSET_M = 0.002
"""Shadow rays start this far off the surface, or it would shade itself."""

NOISE = 1.2
"""Standard deviation of the colour noise, in grey levels."""

BLUR_PX = 0.5
EXPOSURE_STOPS = (-1.3, 0.7)
"""How far kitchens are under- and over-exposed."""


class Shader:
    """Shades hits on the mesh of a kitchen."""

    def __init__(self, mesh: Mesh, caster: RayCaster, kitchen: Kitchen):
        self._caster, self._kitchen, self._mesh = caster, kitchen, mesh
        self._normals = _unit(mesh.cross_products()).astype(np.float32)
        self._texels = (np.concatenate([image.reshape(-1, 3) for image in mesh.images]) / 255) ** 2.2
        self._sizes = np.array([image.shape[1::-1] for image in mesh.images])
        self._starts = np.cumsum([0] + [int(size.prod()) for size in self._sizes])

    def shade(self, hits: Hits, pose: Pose, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shade P hits seen along ``directions`` (P, 3).

        Returns:
            Linear RGB (P, 3), black where nothing was hit; cosine between ray and surface normal (P,).
        """
        radiance, facing = np.zeros((len(directions), 3)), np.zeros(len(directions))
        seen = np.flatnonzero(hits.triangle >= 0)
        hits = Hits(hits.depth[seen], hits.triangle[seen], hits.weights[seen])
        points = pose.centre + directions[seen] * hits.depth[:, None]
        normals = self._normals[hits.triangle]
        facing[seen] = np.abs(_dot(normals, _unit(directions[seen])))
        light = self._kitchen.ambient + self._lamp(points, normals)[:, None] * self._kitchen.light
        radiance[seen] = self._print(hits) * light
        return radiance, facing

    def _print(self, hits: Hits) -> np.ndarray:
        """Linear RGB (P, 3) of the nearest texels."""
        images = self._mesh.image_ids[hits.triangle]
        columns, rows = ((hits.interpolate(self._mesh.uvs) % 1.0) * self._sizes[images]).astype(int).T
        return self._texels[self._starts[images] + rows * self._sizes[images, 0] + columns]

    def _lamp(self, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Strength of the lamp's light (P,): 0 in shadow, falling with the squared distance and the slant."""
        lamp = self._kitchen.lamp
        to_lamp = lamp - points
        cosine = _dot(normals, _unit(to_lamp))
        front = np.flatnonzero(cosine > 0)
        lit = front[self._caster.lit((points + normals * SHADOW_OFFSET_M)[front], lamp)]
        strength = np.zeros(len(points))
        strength[lit] = cosine[lit] * _dot(lamp, lamp) / _dot(to_lamp[lit], to_lamp[lit])
        return strength


def develop(radiance: np.ndarray, gain: float | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The camera's picture, uint8 (H, W, 3), of linear ``radiance`` (H, W, 3): gain, gamma, blur, noise."""
    grey = 255 * np.clip(radiance * gain, 0, 1) ** (1 / 2.2)
    soft = Image.fromarray(grey.astype(np.uint8)).filter(ImageFilter.GaussianBlur(BLUR_PX))
    noisy = np.asarray(soft, np.float32) + NOISE * rng.standard_normal(radiance.shape, np.float32)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def exposures(n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Gain of each frame (n_frames,): the exposure drifts along a path."""
    swing = np.sin(2 * np.pi * 1.3 * np.linspace(0, 1, n_frames) + rng.uniform(0, 2 * np.pi))
    return 2.0 ** rng.uniform(*EXPOSURE_STOPS) * (1 + 0.3 * swing)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...c,...c->...", a, b)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
