"""Triangle meshes with printed surfaces: the few solids from which the demo's kitchens are built.

Lengths are metres, z points up, a thing stands on z = 0 around the z axis, and its front faces -y.
Texture coordinates (u, v) run right and down over a surface's image; beyond 0..1 the image repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

IDENTITY = np.eye(3)
SEGMENTS = 28
"""Flat pieces of a full turn."""


@dataclass(frozen=True)
class Surface:
    """What a triangle is printed with: an sRGB ``image`` uint8 (H, W, 3), and how glossy (0..1) it is."""

    image: np.ndarray
    gloss: float = 0.0


@dataclass(frozen=True)
class Mesh:
    """T triangles: ``corners`` and ``normals`` (T, 3, 3), ``uvs`` (T, 3, 2), index of the surface (T,)."""

    corners: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    surface_ids: np.ndarray
    surfaces: tuple[Surface, ...]

    def moved(self, translation: Sequence[float], rotation: np.ndarray = IDENTITY) -> "Mesh":
        """Return the mesh rotated about the origin by a 3×3 matrix, then translated."""
        return replace(
            self,
            corners=self.corners @ rotation.T + np.asarray(translation, float),
            normals=self.normals @ rotation.T,
        )

    def areas(self) -> np.ndarray:
        """Area of each triangle (T,), in square metres."""
        edges = self.corners[:, 1:] - self.corners[:, :1]
        return np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2


def merged(*meshes: Mesh) -> Mesh:
    """Join meshes into one, each keeping its own surfaces."""
    offsets = np.cumsum([0] + [len(mesh.surfaces) for mesh in meshes])
    return Mesh(
        np.concatenate([mesh.corners for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uvs for mesh in meshes]),
        np.concatenate([mesh.surface_ids + o for mesh, o in zip(meshes, offsets[:-1], strict=True)]),
        tuple(surface for mesh in meshes for surface in mesh.surfaces),
    )


def surface_points(mesh: Mesh, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``n`` points evenly from a mesh's surface: places (n, 3) and sRGB colours uint8 (n, 3)."""
    areas = mesh.areas()
    triangles = rng.choice(len(areas), n, p=areas / areas.sum())
    weights = rng.dirichlet(np.ones(3), n)
    points = np.einsum("nk,nkc->nc", weights, mesh.corners[triangles])
    uvs = np.einsum("nk,nkc->nc", weights, mesh.uvs[triangles]) % 1.0
    colours = np.empty((n, 3), np.uint8)
    for index, surface in enumerate(mesh.surfaces):
        here = mesh.surface_ids[triangles] == index
        height, width = surface.image.shape[:2]
        columns, rows = (uvs[here] * [width, height]).astype(int).T
        colours[here] = surface.image[rows, columns]
    return points, colours


def box(size: Sequence[float], *faces: Surface) -> Mesh:
    """Box of ``size`` (width, depth, height).

    ``faces`` are the surfaces of front, right, back, left, top and bottom; fewer are repeated in a cycle.
    """
    w, d, h = size
    x, y = w / 2, d / 2
    # per face: its upper left corner seen from outside, the direction to the right and the one down
    frames = (
        ((-x, -y, h), (w, 0, 0), (0, 0, -h)),
        ((x, -y, h), (0, d, 0), (0, 0, -h)),
        ((x, y, h), (-w, 0, 0), (0, 0, -h)),
        ((-x, y, h), (0, -d, 0), (0, 0, -h)),
        ((-x, y, h), (w, 0, 0), (0, -d, 0)),
        ((-x, -y, 0), (w, 0, 0), (0, d, 0)),
    )
    return merged(*(quad(*frame, faces[i % len(faces)]) for i, frame in enumerate(frames)))


def quad(
    corner: Sequence[float],
    right: Sequence[float],
    down: Sequence[float],
    surface: Surface,
    tile: float | None = None,
) -> Mesh:
    """Rectangle from its upper left ``corner`` and two edges, seen from the side where they look so.

    The image fills it, or with ``tile`` repeats every ``tile`` metres.
    """
    corner, right, down = (np.asarray(v, float) for v in (corner, right, down))
    points = np.stack([corner, corner + down, corner + down + right, corner + right])
    extent = np.array([np.linalg.norm(right), np.linalg.norm(down)]) / tile if tile else np.ones(2)
    uvs = np.array([[0, 0], [0, 1], [1, 1], [1, 0]]) * extent
    normal = np.cross(down, right)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(
        points[triangles],
        np.broadcast_to(normal / np.linalg.norm(normal), (2, 3, 3)).copy(),
        uvs[triangles],
        np.zeros(2, int),
        (surface,),
    )


def revolution(
    profile: Sequence[tuple[float, float]],
    surface: Surface,
    *,
    flatten: float = 1.0,
    segments: int = SEGMENTS,
) -> Mesh:
    """Surface of revolution about z: ``profile`` lists (radius, height) from the bottom up.

    The image wraps once around, with its middle in front, and runs from the profile's top to its bottom
    by arc length. ``flatten`` scales the depth (y), for oval bottles.
    """
    radius, height = np.asarray(profile, float).T
    arc = np.concatenate([[0], np.cumsum(np.hypot(np.diff(radius), np.diff(height)))])
    turn = np.arange(segments + 1) / segments
    angle = 2 * np.pi * (turn - 0.5)
    direction = np.stack([np.sin(angle), -np.cos(angle)], axis=-1)
    points = np.empty((len(radius), segments + 1, 3))
    points[..., :2] = radius[:, None, None] * direction * [1, flatten]
    points[..., 2] = height[:, None]
    slope = np.stack([np.gradient(height, arc), -np.gradient(radius, arc)], axis=-1)  # outward in (r, z)
    normals = np.empty_like(points)
    normals[..., :2] = slope[:, None, :1] * direction * [flatten, 1]
    normals[..., 2] = slope[:, 1:] * flatten
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    uvs = np.stack(np.broadcast_arrays(turn[None, :], 1 - (arc / arc[-1])[:, None]), axis=-1)
    return _grid(points, normals, uvs, surface)


def disc(radius: float, height: float, surface: Surface) -> Mesh:
    """Horizontal disc that faces up. The image's inscribed ellipse fills it."""
    angle = np.linspace(0, 2 * np.pi, SEGMENTS + 1)
    rim = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    ring = np.stack([np.zeros_like(rim), rim])  # centre and rim
    points = np.concatenate([ring * radius, np.full((2, SEGMENTS + 1, 1), height)], axis=-1)
    normals = np.broadcast_to([0.0, 0.0, 1.0], points.shape)
    return _grid(points[::-1], normals, (ring * [0.5, -0.5] + 0.5)[::-1], surface)


def lid(radius: float, bottom: float, top: float, surface: Surface) -> Mesh:
    """Upright cylinder, closed above and open below."""
    return merged(revolution([(radius, bottom), (radius, top)], surface), disc(radius, top, surface))


def base(radius: float, surface: Surface, *, flatten: float = 1.0) -> Mesh:
    """Horizontal disc at z = 0 that faces down: what a lying can or bottle shows of its bottom."""
    return revolution([(0.0, 0.0), (radius, 0.0)], surface, flatten=flatten)


def pouch(size: Sequence[float], front: Surface, back: Surface) -> Mesh:
    """Filled bag of ``size`` (width, depth, height): two bulging sides, sealed along the edge."""
    w, d, h = size
    s = np.linspace(0, 1, 11)
    u, v = np.meshgrid(s, s[::-1])  # rows from the bottom up
    bulge = ((1 - np.abs(2 * u - 1) ** 2.5) * (1 - np.abs(2 * v - 1) ** 4)) ** 0.6
    sides = []
    for surface, sign in ((front, -1.0), (back, 1.0)):
        x = -sign * (u - 0.5) * w
        points = np.stack([x, sign * bulge * d / 2, (1 - v) * h], axis=-1)
        across = np.gradient(points, axis=1)
        upward = np.gradient(points, axis=0)
        normals = np.cross(across, upward)
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        sides.append(_grid(points, normals, np.stack([u, v], axis=-1), surface))
    return merged(*sides)


def _grid(points: np.ndarray, normals: np.ndarray, uvs: np.ndarray, surface: Surface) -> Mesh:
    """Triangulate a grid (R, C, ·) whose rows run upward and whose columns run to the right."""
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, e = (q.ravel() for q in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, e], 1)])
    corners = points.reshape(-1, 3)[triangles]
    edges = corners[:, 1:] - corners[:, :1]
    solid = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) > 1e-12  # none at a pole
    return Mesh(
        corners[solid],
        normals.reshape(-1, 3)[triangles][solid],
        uvs.reshape(-1, 2)[triangles][solid],
        np.zeros(int(solid.sum()), int),
        (surface,),
    )
