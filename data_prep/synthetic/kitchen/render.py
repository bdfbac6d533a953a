"""Render the demo's kitchens, in the layout of the published multi-view RGB-D kitchen dataset.

Nine counters with 10 of the 11 products and unlabelled packages, each seen along a densely sampled camera
path. All random numbers come from generators seeded by (seed, scene) and (seed, scene, frame).
"""

from functools import partial
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from cld.runtime.progress import progress
from data_prep.common.parallel import ordered_map
from data_prep.common.settings import Settings
from data_prep.kitchen.gmu import layout
from data_prep.synthetic.kitchen import gmu_files
from data_prep.synthetic.kitchen.annotation import Silhouette, annotate
from data_prep.synthetic.kitchen.camera_path import camera_path, scaled_calibration, to_reconstruction
from data_prep.synthetic.kitchen.depth_sensor import sense
from data_prep.synthetic.kitchen.kitchen_scene import N_PRODUCTS, compose_kitchen
from data_prep.synthetic.kitchen.meshes import merged, surface_points
from data_prep.synthetic.kitchen.ray_caster import RayCaster, pixel_grid, ray_directions
from data_prep.synthetic.kitchen.shading import Shader, develop, exposures

FIRST_NUMBERS, NUMBER_STEPS = 40, (1, 1, 1, 2, 2, 3, 7)
"""The first frame's number is below FIRST_NUMBERS, the next adds one of NUMBER_STEPS, drawn at random."""

POINTS_PER_OBJECT = 4000
POINT_NOISE_M = 0.0005
ORIGIN_SPREAD = 3.0
"""Standard deviation of the reconstruction's origin about the counter's middle, in reconstruction units."""

# How the published files differ between scenes; the reader meets the same here.
WITHOUT_FIRST_POSE_FIELD = (2, 5, 8)
FILENAME_WITH_SUFFIX = (2, 4, 8)
FRACTIONAL_BOXES = (5, 7)
SPELLINGS = {6: {"red_bull": "redbull", "palmolive_orange": "palmolive"}}
ANNOTATED_OTHERS = {3: 2}
"""By scene: packages that are annotated, although none of the 11 instances."""


def render_kitchens(root: Path, settings: Settings, workers: int = 1) -> None:
    """Render all scenes into the empty folder ``root``."""
    calibration_path = layout.calibration_path(root)
    calibration_path.parent.mkdir(parents=True)
    gmu_files.write_calibration(calibration_path, scaled_calibration(settings.width, settings.height))
    scenes = layout.SCENES[: settings.n_scenes]
    with progress("render kitchens", len(scenes), "scenes") as bar:
        for _ in ordered_map(partial(_render_scene, root, settings), scenes, workers, chunk=1):
            bar.advance()


def _render_scene(root: Path, settings: Settings, scene: int) -> None:
    """Write one kitchen recorded along its camera path: frames, annotations, poses and point clouds."""
    size = width, height = settings.width, settings.height
    n_frames = settings.frames_per_scene
    for folder in (layout.images_folder, layout.depths_folder, layout.annotations_folder):
        folder(root, scene).mkdir(parents=True)
    rng = np.random.default_rng([settings.seed, scene])
    calibration = scaled_calibration(width, height)
    # the order of what is drawn from the generator decides every scene
    kitchen = compose_kitchen(scene, settings.seed, rng)
    poses = camera_path(n_frames, settings.empty_per_scene, rng)
    gains = exposures(n_frames, rng)
    steps = rng.choice(NUMBER_STEPS, n_frames)
    numbers = [int(n) for n in rng.integers(FIRST_NUMBERS) + np.cumsum(steps)]
    n_seen = n_frames - settings.empty_per_scene
    unannotated = set(rng.choice(n_seen, settings.unannotated_per_scene, replace=False).tolist())
    scale, axes = -layout.DEPTH_SCALES[scene], Rotation.from_quat(rng.standard_normal(4)).as_matrix()
    origin = ORIGIN_SPREAD * rng.standard_normal(3)

    annotated = kitchen.things[: N_PRODUCTS + ANNOTATED_OTHERS.get(scene, 0)]
    parts = [thing.mesh for thing in kitchen.things] + [kitchen.room]
    part_of = np.repeat(np.arange(len(parts)), [len(part.corners) for part in parts])
    names = [SPELLINGS.get(scene, {}).get(thing.name, thing.name) for thing in annotated]
    silhouettes = [Silhouette(thing.mesh) for thing in annotated]
    mesh = merged(*parts)
    caster = RayCaster(mesh)
    shader = Shader(mesh, caster, kitchen)

    for thing in kitchen.things[:N_PRODUCTS]:
        number = layout.INSTANCES.index(thing.name) + 1
        cloud_rng = np.random.default_rng([settings.seed, scene, n_frames, number])
        points, colours = surface_points(thing.mesh, POINTS_PER_OBJECT, cloud_rng)
        points += POINT_NOISE_M * cloud_rng.standard_normal(points.shape)
        path = layout.object_path(root, scene, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        gmu_files.write_point_cloud(path, scale * points @ axes.T + origin, colours)
    images = [layout.image_path(root, scene, number) for number in numbers]
    gmu_files.write_poses(
        layout.pose_path(root, scene),
        [image.name for image in images],
        [to_reconstruction(pose, scale, axes, origin) for pose in poses],
        calibration.fx,
        scene not in WITHOUT_FIRST_POSE_FIELD,
    )
    pixels = pixel_grid(0, 0, width, height)
    for frame, (number, pose, image) in enumerate(zip(numbers, poses, images, strict=True)):
        rng = np.random.default_rng([settings.seed, scene, frame])
        hits = caster.cast(pose, calibration, pixels)
        radiance, facing = shader.shade(hits, pose, ray_directions(pose, calibration, pixels))
        seen = np.where(hits.triangle >= 0, part_of[hits.triangle], -1).reshape(height, width)
        objects = annotate(names, silhouettes, seen, pose, calibration, rng, scene in FRACTIONAL_BOXES)
        gmu_files.write_png(image, develop(radiance.reshape(height, width, 3), gains[frame], rng))
        depth = sense(hits.depth.reshape(height, width), facing.reshape(height, width), rng)
        gmu_files.write_png(layout.depth_path(root, scene, number), depth)
        if frame not in unannotated:
            path = layout.annotation_path(root, scene, number)
            filename = image.name if scene in FILENAME_WITH_SUFFIX else image.stem
            gmu_files.write_annotation(path, filename, size, objects)
