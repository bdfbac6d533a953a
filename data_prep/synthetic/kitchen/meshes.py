"""Triangle meshes with printed surfaces: the few solids from which the demo's kitchens are built.

Lengths are metres, z points up, a thing stands on z = 0 around the z axis, and its front faces -y.
Texture coordinates (u, v) run right and down over a surface's image; beyond 0..1 the image repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

SEGMENTS = 36
"""Flat pieces of a full turn."""


@dataclass(frozen=True)
class Mesh:
    """T triangles, wound counter-clockwise seen from outside.

    ``corners`` (T, 3, 3), ``uvs`` (T, 3, 2), ``image_ids`` (T,) into ``images``, sRGB uint8 (H, W, 3) each.
    """

    corners: np.ndarray
    uvs: np.ndarray
    image_ids: np.ndarray
    images: tuple[np.ndarray, ...]

    def moved(self, translation: Sequence[float], rotation: np.ndarray | None = None) -> "Mesh":
        """The mesh rotated about the origin by a 3×3 matrix, then translated."""
        corners = self.corners if rotation is None else self.corners @ rotation.T
        return replace(self, corners=corners + np.asarray(translation, float))

    def cross_products(self) -> np.ndarray:
        """Outward normal of each triangle, as long as twice its area in square metres (T, 3)."""
        edges = self.corners[:, 1:] - self.corners[:, :1]
        return np.cross(edges[:, 0], edges[:, 1])


def merged(*meshes: Mesh) -> Mesh:
    """Join meshes into one, each keeping its own images."""
    offsets = np.cumsum([0] + [len(mesh.images) for mesh in meshes])
    return Mesh(
        np.concatenate([mesh.corners for mesh in meshes]),
        np.concatenate([mesh.uvs for mesh in meshes]),
        np.concatenate([mesh.image_ids + o for mesh, o in zip(meshes, offsets[:-1], strict=True)]),
        tuple(image for mesh in meshes for image in mesh.images),
    )


def surface_points(mesh: Mesh, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``n`` points evenly from a mesh's surface: places (n, 3) and sRGB colours uint8 (n, 3)."""
    areas = np.linalg.norm(mesh.cross_products(), axis=1)
    triangles = rng.choice(len(areas), n, p=areas / areas.sum())
    weights = rng.dirichlet(np.ones(3), n)
    points = np.einsum("nk,nkc->nc", weights, mesh.corners[triangles])
    uvs = np.einsum("nk,nkc->nc", weights, mesh.uvs[triangles]) % 1.0
    colours = np.empty((n, 3), np.uint8)
    for index, image in enumerate(mesh.images):
        here = mesh.image_ids[triangles] == index
        columns, rows = (uvs[here] * image.shape[1::-1]).astype(int).T
        colours[here] = image[rows, columns]
    return points, colours


def quad(
    corner: Sequence[float], right: Sequence[float], down: Sequence[float], image: np.ndarray, tile: float = 0
) -> Mesh:
    """Rectangle from its upper left ``corner`` and two edges, seen from the side where they look so.

    The image fills it, or with ``tile`` repeats every ``tile`` metres.
    """
    start, across, below = (np.asarray(v, float) for v in (corner, right, down))
    points = np.stack([start, start + below, start + below + across, start + across])
    extent = np.array([np.linalg.norm(right), np.linalg.norm(down)]) / tile if tile else np.ones(2)
    uvs = np.array([[0, 0], [0, 1], [1, 1], [1, 0]]) * extent
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(points[triangles], uvs[triangles], np.zeros(2, int), (image,))


def box(size: Sequence[float], face: np.ndarray, flank: np.ndarray, end: np.ndarray) -> Mesh:
    """Box of ``size`` (width, depth, height): images of front and back, of the sides, of top and bottom."""
    w, d, h = size
    x, y = w / 2, d / 2
    return merged(
        quad((-x, -y, h), (w, 0, 0), (0, 0, -h), face),
        quad((x, y, h), (-w, 0, 0), (0, 0, -h), face),
        quad((x, -y, h), (0, d, 0), (0, 0, -h), flank),
        quad((-x, y, h), (0, -d, 0), (0, 0, -h), flank),
        quad((-x, y, h), (w, 0, 0), (0, -d, 0), end),
        quad((-x, -y, 0), (w, 0, 0), (0, d, 0), end),
    )


def revolution(profile: Sequence[tuple[float, float]], image: np.ndarray, flatten: float = 1.0) -> Mesh:
    """Solid of revolution about z: ``profile`` lists (radius, height) upwards, from the axis to the axis.

    The image wraps once around, with its middle in front, and runs from the top to the bottom by height, so
    that its first and last row print the two ends. ``flatten`` scales the depth (y), for oval bottles.
    """
    radius, height = np.asarray(profile, float).T
    turn = np.arange(SEGMENTS + 1) / SEGMENTS
    angle = 2 * np.pi * (turn - 0.5)
    points = np.empty((len(radius), SEGMENTS + 1, 3))
    points[..., 0] = radius[:, None] * np.sin(angle)
    points[..., 1] = -flatten * radius[:, None] * np.cos(angle)
    points[..., 2] = height[:, None]
    down = np.clip(1 - height / height[-1], 1e-6, 1 - 1e-6)  # 1.0 would be the first row again
    uvs = np.stack(np.broadcast_arrays(turn[None, :], down[:, None]), axis=-1)

    index = np.arange(points[..., 0].size).reshape(points.shape[:2])
    a, b, c, d = (q.ravel() for q in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    corners, uvs = points.reshape(-1, 3)[triangles], uvs.reshape(-1, 2)[triangles]
    mesh = Mesh(corners, uvs, np.zeros(len(triangles), int), (image,))
    solid = np.linalg.norm(mesh.cross_products(), axis=1) > 1e-12  # none at a pole
    return Mesh(corners[solid], uvs[solid], mesh.image_ids[solid], mesh.images)
