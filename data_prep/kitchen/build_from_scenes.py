"""Kitchen-HC from the scenes of GMU Kitchens (supplement, section 1): every 2D box becomes an instance.

Test scenes are whole scenes; validation is contiguous blocks of the training scenes' frames. The supplement
does not state its rule; ``cld/schemas/build/kitchen.schema.yaml`` says why this one. The result does not
depend on ``workers``.
"""

from functools import partial
from pathlib import Path

from cld.data import StoreInfo
from cld.runtime.progress import progress
from data_prep.common.build_record import BuildRecord, Target
from data_prep.common.settings import Settings
from data_prep.common.source_files import digest
from data_prep.kitchen.class_names import ClassNames
from data_prep.kitchen.frame_crops import crop_frame
from data_prep.kitchen.gmu import reader
from data_prep.kitchen.scene_geometry import LabelledFrame, read_geometry
from data_prep.kitchen.store_build import StoreBuild, validation_mask


def build_from_scenes(root: str | Path, settings: Settings, target: Target, workers: int) -> StoreInfo:
    """Build a store from ``gmu_scene_00<n>`` and ``gmu-kitchens_info`` under ``root``.

    Raises:
        InputError: before an image is decoded: a missing root or scene, a class that no annotation names, too
            many unknown names, an empty split; after all were tried: more bad frames than ``max_bad_share``.
    """
    root = Path(root)
    reader.check_root(root, settings.scenes)
    build = StoreBuild(BuildRecord(root, target, settings, "annotated frames"))
    scenes = _read_scenes(build)
    frames = {scene.number: _labelled(scene, build.names) for scene in scenes}
    build.names.check(root.name, "boxes")
    jobs = _split(frames, build)
    build.record.details["Scenes"] = [_scene_row(scene, jobs) for scene in scenes]
    geometry = read_geometry(build, frames) if settings.geometry else {}
    function = partial(crop_frame, root=root, settings=settings, geometry=geometry)
    return build.write("frames", function, jobs, workers)


def _read_scenes(build: StoreBuild) -> list[reader.Scene]:
    """Read every scene's annotations and poses; fails if too many frames are bad already."""
    record, numbers = build.record, build.settings.scenes
    scenes = []
    with progress("read annotations", len(numbers), "scenes") as bar:
        for number in numbers:
            scene = reader.read_scene(record.root, number, build.settings.geometry)
            scenes.append(scene)
            record.problems += scene.problems
            record.files += [digest(path, record.root) for path in scene.files]
            bar.advance()
    record.total = sum(len(scene.frames) for scene in scenes) + record.bad_units
    build.check_problems()
    return scenes


def _labelled(scene: reader.Scene, names: ClassNames) -> list[LabelledFrame]:
    """The scene's frames with boxes of kept classes."""
    frames = []
    for frame in scene.frames:
        labelled = [(names.label(box.name), box) for box in frame.annotation.boxes]
        boxes = [(label, box) for label, box in labelled if label is not None]
        if boxes:
            frames.append((frame, boxes))
    return frames


def _split(frames: dict[int, list[LabelledFrame]], build: StoreBuild) -> dict[str, list[LabelledFrame]]:
    """The frames by split: whole scenes test, blocks of the others validate."""
    settings = build.settings
    jobs = {split: [] for split in build.splits}
    for scene, group in frames.items():
        if scene in settings.test_scenes:
            jobs["test"] += group
            continue
        validates = validation_mask(len(group), settings.val_share, settings.val_blocks)
        for frame, v in zip(group, validates, strict=True):
            jobs["val" if v else "train"].append(frame)
    return jobs


def _scene_row(scene: reader.Scene, jobs: dict[str, list[LabelledFrame]]) -> dict:
    row = {
        "scene": scene.number,
        "images": scene.n_images,
        "without annotation": scene.n_unannotated,
        "without objects": scene.n_empty,
        "bad when listed": len({problem.unit for problem in scene.problems}),
    }
    for split in ("train", "val", "test"):
        row[f"{split} frames"] = sum(frame.scene == scene.number for frame, _ in jobs.get(split, ()))
    return row
