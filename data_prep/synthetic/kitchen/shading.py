"""From what the rays hit to what the colour camera shows: print, light, shadow, gloss, exposure, noise."""

import numpy as np
from PIL import Image, ImageFilter

from data_prep.kitchen.gmu.camera import Calibration, Pose
from data_prep.synthetic.kitchen.kitchen_scene import Lamp
from data_prep.synthetic.kitchen.meshes import Mesh
from data_prep.synthetic.kitchen.ray_caster import Hits, RayCaster
from data_prep.synthetic.kitchen.textures import TextureAtlas

SHADOW_OFFSET_M = 0.002
"""Shadow rays start this far off the surface, or it would shade itself."""

SHININESS = 40
NOISE = 1.2
"""Standard deviation of the colour noise, in grey levels."""

BLUR_PX = 0.5
SPECULAR = 0.5
EXPOSURE_STOPS = (-1.3, 0.7)
"""How far kitchens are under- and over-exposed."""


class Shader:
    """Shades hits on one mesh under fixed lamps."""

    def __init__(self, mesh: Mesh, caster: RayCaster, lamps: tuple[Lamp, ...], ambient: np.ndarray):
        self._caster, self._lamps, self._ambient = caster, lamps, ambient.astype(np.float32)
        self._normals, self._uvs = mesh.normals.astype(np.float32), mesh.uvs.astype(np.float32)
        self._surface_ids = mesh.surface_ids
        self._atlas = TextureAtlas(mesh.surfaces)
        self._gloss = np.array([surface.gloss for surface in mesh.surfaces], np.float32)
        self._density = _texels_per_metre(mesh, self._atlas)

    def shade(
        self, hits: Hits, pose: Pose, calibration: Calibration, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shade P hits seen along ``directions`` (P, 3).

        Returns:
            Linear RGB (P, 3), black where nothing was hit; cosine between ray and surface normal (P,).
        """
        seen = np.flatnonzero(hits.triangle >= 0)
        hits = Hits(hits.depth[seen], hits.triangle[seen], hits.weights[seen])
        rays = directions[seen].astype(np.float32)
        points = pose.centre.astype(np.float32) + rays * hits.depth[:, None]
        view = -_unit(rays)
        normals = _unit(hits.interpolate(self._normals))
        facing = np.abs(_dot(normals, view))
        surface_ids = self._surface_ids[hits.triangle]
        metres_per_pixel = hits.depth / calibration.fx / np.sqrt(np.maximum(facing, 0.05))
        albedo = self._atlas.sample(
            surface_ids, hits.interpolate(self._uvs), self._density[hits.triangle] * metres_per_pixel
        )
        gloss = self._gloss[surface_ids]
        diffuse = self._ambient * (0.75 + 0.25 * normals[:, 2:])
        specular = np.zeros_like(diffuse)
        for lamp in self._lamps:
            strength, cosine, shine = self._lamp_at(lamp, points, normals, view)
            diffuse += (strength * cosine)[:, None] * lamp.colour
            specular += (strength * shine * gloss)[:, None] * lamp.colour
        radiance, cosines = np.zeros((len(directions), 3), np.float32), np.zeros(len(directions), np.float32)
        radiance[seen] = albedo * diffuse + SPECULAR * specular
        cosines[seen] = facing
        return radiance, cosines

    def _lamp_at(
        self, lamp: Lamp, points: np.ndarray, normals: np.ndarray, view: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A lamp's strength (0 in its shadow), its cosine to the normal, and its highlight, each (P,)."""
        to_lamp = lamp.place.astype(np.float32) - points
        distance = np.sqrt(_dot(to_lamp, to_lamp))
        to_lamp /= distance[:, None]
        cosine = _dot(normals, to_lamp)
        strength = np.zeros_like(cosine)
        front = np.flatnonzero(cosine > 0)
        lit = front[self._caster.lit((points + normals * SHADOW_OFFSET_M)[front], lamp.place)]
        strength[lit] = (np.linalg.norm(lamp.place) / distance[lit]) ** 2
        shine = np.maximum(_dot(normals, _unit(to_lamp + view)), 0) ** SHININESS
        return strength, cosine, shine


def develop(radiance: np.ndarray, gains: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The camera's picture, uint8 (H, W, 3), of linear ``radiance`` (H, W, 3): gains, gamma, blur, noise."""
    grey = 255 * np.clip(radiance * gains, 0, 1) ** (1 / 2.2)
    soft = Image.fromarray(grey.astype(np.uint8)).filter(ImageFilter.GaussianBlur(BLUR_PX))
    noisy = np.asarray(soft, np.float32) + NOISE * rng.standard_normal(radiance.shape, np.float32)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def exposures(n_frames: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Gains (3,) of the channels, a frame: exposure and white balance drift along a path of ``n_frames``."""
    phases = rng.uniform(0, 2 * np.pi, 4)
    base = 2.0 ** rng.uniform(*EXPOSURE_STOPS)
    found = []
    for t in np.linspace(0, 1, n_frames):
        swing = np.sin(2 * np.pi * np.array([1.3, 0.9, 1.1, 0.7]) * t + phases)
        found.append(base * (1 + 0.3 * swing[0]) * (1 + 0.1 * swing[1:]))
    return found


def _texels_per_metre(mesh: Mesh, atlas: TextureAtlas) -> np.ndarray:
    """How densely each triangle is printed, (T,)."""
    edges = (mesh.uvs[:, 1:] - mesh.uvs[:, :1]) * atlas.sizes(mesh.surface_ids)[:, None]
    texels = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]) / 2
    return np.sqrt(texels / mesh.areas())


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("pc,pc->p", a, b)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.sqrt(_dot(vectors, vectors)), 1e-9)[:, None]
