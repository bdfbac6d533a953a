"""Render the demo's kitchens, in the layout of the published multi-view RGB-D kitchen dataset.

    python -m data_prep.render_kitchen --preset demo --out KITCHENS [--workers 2] [key=value ...]

Nine counters with the 11 products and unlabelled clutter, each seen along a densely sampled camera path. The
files read like the published ones; what sets them apart is ``render_settings.json`` beside the scenes.

The same settings give the same bytes on one machine, however many workers there are: all that is random comes
from generators seeded by (seed, scene) and (seed, scene, frame).
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from cld.config import load_dataset, parse_overrides
from cld.errors import InputError, run_command
from cld.progress import progress
from data_prep.gmu import layout
from data_prep.gmu.writer import write_annotation, write_boxes, write_calibration, write_png, write_poses
from data_prep.parallel import ordered_map
from data_prep.render.annotation import AnnotatedObject
from data_prep.render.camera import scaled_calibration
from data_prep.render.recording import Recording
from data_prep.render.settings import RenderSettings

MARKER = "render_settings.json"
"""Tells a rendered root from the published data."""


@dataclass(frozen=True)
class _Job:
    """One frame to render, or with ``frame`` None a scene's own files to write."""

    root: Path
    settings: RenderSettings
    scene: int
    frame: int | None


def render_kitchen(root: str | Path, settings: RenderSettings, workers: int = 1) -> None:
    """Render all scenes into the new folder ``root``; an earlier rendering there is replaced.

    The folder gets its name only when it is complete; until then it is ``.<name>.partial`` beside it.

    Raises:
        InputError: ``root`` is a file, or a folder with anything but a rendering in it.
    """
    scenes = layout.SCENES[: settings.n_scenes]
    with _replaced_folder(Path(root)) as partial:
        _make_folders(partial, scenes)
        write_calibration(
            layout.calibration_path(partial), scaled_calibration(settings.width, settings.height)
        )
        frames = (None, *range(settings.frames_per_scene))
        jobs = [_Job(partial, settings, scene, frame) for scene in scenes for frame in frames]
        objects = {scene: [] for scene in scenes}
        with progress("render kitchens", len(scenes) * settings.frames_per_scene, "frames") as bar:
            for job, found in zip(jobs, ordered_map(_run, jobs, workers), strict=True):
                if job.frame is not None:
                    objects[job.scene].append(found)
                    bar.advance(note=f"scene {job.scene}")
        for scene in scenes:
            write_boxes(layout.boxes_path(partial, scene), objects[scene])
        (partial / MARKER).write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")


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
def _recording(settings: RenderSettings, scene: int) -> Recording:
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


@contextmanager
def _replaced_folder(root: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``root``; on success it takes the place of ``root``.

    Its name is fixed, so what a killed rendering leaves behind is removed by the next one.
    """
    if root.exists() and not (root.is_dir() and ((root / MARKER).is_file() or not any(root.iterdir()))):
        raise InputError(f"{root}: exists and is not a rendering; choose another folder, or remove it first")
    partial, old = (root.parent / f".{root.name}.{state}" for state in ("partial", "old"))
    root.parent.mkdir(parents=True, exist_ok=True)
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if root.exists():
            os.rename(root, old)
        os.rename(partial, root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    """Render the demo's kitchens in the layout of GMU Kitchens."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.render_kitchen", description=main.__doc__)
    parser.add_argument("--preset", required=True, help="scale: a file of config/presets")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to make; an earlier rendering is replaced"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="changes to data_prep.render.settings.RenderSettings",
    )
    options = parser.parse_args()
    settings = load_dataset(options.preset, "kitchen_hc")["render"] or {}
    settings = RenderSettings.from_mapping(settings | parse_overrides(options.overrides))
    render_kitchen(options.out, settings, options.workers)


if __name__ == "__main__":
    run_command(main)
