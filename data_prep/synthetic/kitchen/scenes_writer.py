"""Render the demo's kitchens, in the layout of the published multi-view RGB-D kitchen dataset.

    python -m data_prep generate --preset demo --source gmu_kitchens --out KITCHENS [--workers 2]

Nine counters with the 11 products and unlabelled clutter, each seen along a densely sampled camera path. The
files read like the published ones.

The same settings give the same bytes on one machine, however many workers there are: all that is random comes
from generators seeded by (seed, scene) and (seed, scene, frame).
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cld.runtime.progress import progress
from data_prep.common.parallel import ordered_map
from data_prep.common.settings import Settings
from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.writer import (
    write_annotation,
    write_boxes,
    write_calibration,
    write_png,
    write_poses,
)
from data_prep.synthetic.kitchen.annotation import AnnotatedObject
from data_prep.synthetic.kitchen.camera import scaled_calibration
from data_prep.synthetic.kitchen.recording import Recording


@dataclass(frozen=True)
class _Job:
    """One frame to render, or with ``frame`` None a scene's own files to write."""

    root: Path
    settings: Settings
    scene: int
    frame: int | None


def render_kitchen(root: Path, settings: Settings, workers: int = 1) -> None:
    """Render all scenes into the empty folder ``root``."""
    scenes = layout.SCENES[: settings.n_scenes]
    _make_folders(root, scenes)
    write_calibration(layout.calibration_path(root), scaled_calibration(settings.width, settings.height))
    frames = (None, *range(settings.frames_per_scene))
    jobs = [_Job(root, settings, scene, frame) for scene in scenes for frame in frames]
    objects = {scene: [] for scene in scenes}
    with progress("render kitchens", len(scenes) * settings.frames_per_scene, "frames") as bar:
        for job, found in zip(jobs, ordered_map(_run, jobs, workers), strict=True):
            if job.frame is not None:
                objects[job.scene].append(found)
                bar.advance(note=f"scene {job.scene}")
    for scene in scenes:
        write_boxes(layout.boxes_path(root, scene), objects[scene])


def _run(job: _Job) -> tuple[AnnotatedObject, ...]:
    """Do one job; of a frame, return what is annotated in it."""
    recording = _recording(job.settings, job.scene)
    if job.frame is None:
        recording.write_objects(job.root)
        write_poses(
            layout.pose_path(job.root, job.scene),
            [layout.image_path(job.root, job.scene, number).name for number in recording.numbers],
            recording.world_poses(),
            recording.calibration.fx,
            recording.quirks.first_pose_field,
        )
        return ()
    view = recording.render(job.frame)
    number = recording.numbers[job.frame]
    image = layout.image_path(job.root, job.scene, number)
    write_png(image, view.colour)
    write_png(layout.depth_path(job.root, job.scene, number), view.depth)
    if job.frame in recording.unannotated:
        return ()
    write_annotation(
        layout.annotation_path(job.root, job.scene, number),
        image.name if recording.quirks.filename_with_suffix else image.stem,
        (job.settings.width, job.settings.height),
        view.objects,
    )
    return view.objects


@lru_cache(maxsize=1)
def _recording(settings: Settings, scene: int) -> Recording:
    """A scene, kept for the jobs that follow: they come scene by scene."""
    return Recording(settings, scene)


def _make_folders(root: Path, scenes: tuple[int, ...]) -> None:
    layout.calibration_path(root).parent.mkdir(parents=True)
    layout.boxes_path(root, 1).parent.mkdir(parents=True)
    for scene in scenes:
        for folder in (
            layout.images_folder,
            layout.depths_folder,
            layout.annotations_folder,
            layout.objects_folder,
        ):
            folder(root, scene).mkdir(parents=True)
