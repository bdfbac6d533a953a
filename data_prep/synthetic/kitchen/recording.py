"""One kitchen recorded along its camera path: colour, depth, annotations, poses in reconstruction units."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from data_prep.common.settings import Settings
from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.camera import Pose
from data_prep.kitchen.gmu.layout import INSTANCES
from data_prep.kitchen.gmu.writer import write_point_cloud
from data_prep.synthetic.kitchen.annotation import AnnotatedObject, Silhouette, annotate
from data_prep.synthetic.kitchen.camera import camera_path, scaled_calibration, to_reconstruction
from data_prep.synthetic.kitchen.depth_sensor import sense
from data_prep.synthetic.kitchen.meshes import merged, surface_points
from data_prep.synthetic.kitchen.ray_caster import RayCaster, pixel_grid, ray_directions
from data_prep.synthetic.kitchen.scene import compose_kitchen
from data_prep.synthetic.kitchen.shading import Shader, develop, exposures
from data_prep.synthetic.kitchen.upstream_quirks import quirks_of

FIRST_NUMBERS, NUMBER_STEPS = 40, (1, 1, 1, 2, 2, 3, 7)
"""Frame numbers start below the first and go on by one of the second."""

POINTS_PER_OBJECT = 4000
POINT_NOISE_M = 0.0005
ORIGIN_SPREAD = 3.0
"""The reconstruction's origin lies about so many units from the counter's middle."""


@dataclass(frozen=True)
class View:
    """One frame: ``colour`` uint8 (H, W, 3), ``depth`` uint16 (H, W) in mm, and what is annotated."""

    colour: np.ndarray
    depth: np.ndarray
    objects: tuple[AnnotatedObject, ...]


class Recording:
    """The kitchen of one scene number, ready to render any of its frames.

    Attributes:
        numbers: the frames' numbers, with gaps.
        unannotated: positions of the frames without annotation.
        calibration: of the camera.
        quirks: of the scene's files.
    """

    def __init__(self, settings: Settings, scene: int):
        rng = np.random.default_rng([settings.seed, scene])
        self._settings, self._scene = settings, scene
        self.quirks = quirks_of(scene)
        self.calibration = scaled_calibration(settings.width, settings.height)
        kitchen = compose_kitchen(
            scene, settings.products_per_scene, settings.clutter_per_scene, settings.seed, rng
        )
        n_frames, n_seen = settings.frames_per_scene, settings.frames_per_scene - settings.empty_per_scene
        self._poses = camera_path(n_frames, settings.empty_per_scene, rng)
        self._exposures = exposures(n_frames, rng)
        steps = rng.choice(NUMBER_STEPS, n_frames)
        self.numbers = [int(n) for n in rng.integers(FIRST_NUMBERS) + np.cumsum(steps)]
        self.unannotated = set(rng.choice(n_seen, settings.unannotated_per_scene, replace=False).tolist())
        axes = Rotation.from_quat(rng.standard_normal(4)).as_matrix()
        self._reconstruction = -layout.DEPTH_SCALES[scene], axes, ORIGIN_SPREAD * rng.standard_normal(3)

        products = [thing for thing in kitchen.things if thing.is_product]
        clutter = [thing for thing in kitchen.things if not thing.is_product]
        annotated = products + clutter[: self.quirks.annotated_clutter]
        others = clutter[self.quirks.annotated_clutter :]
        parts = [thing.mesh for thing in (*annotated, *others)] + [kitchen.room]
        self._annotated = annotated
        self._names = [self.quirks.spellings.get(thing.name, thing.name) for thing in annotated]
        self._silhouettes = [Silhouette(thing.mesh) for thing in annotated]
        self._part_of = np.repeat(np.arange(len(parts)), [len(part.corners) for part in parts])
        mesh = merged(parts)
        self._caster = RayCaster(mesh)
        self._shader = Shader(mesh, self._caster, kitchen.lamps, kitchen.ambient)

    def render(self, frame: int) -> View:
        """Render the frame at position ``frame`` of the path."""
        width, height = self._settings.width, self._settings.height
        rng = np.random.default_rng([self._settings.seed, self._scene, frame])
        pose = self._poses[frame]
        pixels = pixel_grid(0, 0, width, height)
        directions = ray_directions(pose, self.calibration, pixels)
        hits = self._caster.cast(pose, self.calibration, pixels)
        radiance, facing = self._shader.shade(hits, pose, self.calibration, directions)
        seen = np.where(hits.triangle >= 0, self._part_of[hits.triangle], -1).reshape(height, width)
        objects = annotate(
            self._names, self._silhouettes, seen, pose, self.calibration, rng, self.quirks.fractional_boxes
        )
        return View(
            develop(radiance.reshape(height, width, 3), self._exposures[frame], rng),
            sense(hits.depth.reshape(height, width), facing.reshape(height, width), rng),
            objects,
        )

    def world_poses(self) -> list[Pose]:
        """World to camera in reconstruction units, a frame."""
        return [to_reconstruction(pose, *self._reconstruction) for pose in self._poses]

    def write_objects(self, root: Path) -> None:
        """Write each product's point cloud, in world coordinates; its number is its class's, from 1."""
        scale, axes, origin = self._reconstruction
        for thing in self._annotated:
            if thing.is_product:
                number = INSTANCES.index(thing.name) + 1
                rng = np.random.default_rng(
                    [self._settings.seed, self._scene, self._settings.frames_per_scene, number]
                )
                points, colours = surface_points(thing.mesh, POINTS_PER_OBJECT, rng)
                points += POINT_NOISE_M * rng.standard_normal(points.shape)
                write_point_cloud(
                    layout.object_path(root, self._scene, number), scale * points @ axes.T + origin, colours
                )
