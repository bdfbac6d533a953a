"""Kitchen-HC from the scenes of GMU Kitchens (supplement, section 1): every 2D box becomes an instance.

    python -m data_prep build --preset paper --dataset kitchen_hc --root GMU_Kitchens \\
        --store kitchen_hc.h5 --manifest kitchen_hc.csv --report kitchen_hc.md --workers 8

Test scenes are whole scenes; validation is contiguous blocks of the training scenes' frames. The supplement
does not state its rule; ``cld/schemas/build/kitchen.schema.yaml`` says why this one. The
result does not depend on ``workers``.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from cld.data import StoreInfo
from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from data_prep.common.command import parse_build
from data_prep.common.image_files import EncodedImage
from data_prep.common.lock import only_build
from data_prep.common.parallel import ordered_map
from data_prep.common.record import BuildRecord, Target, without_root
from data_prep.common.settings import Settings
from data_prep.common.source_files import digest
from data_prep.common.validation_blocks import validation_mask
from data_prep.kitchen.class_names import ClassNames
from data_prep.kitchen.frame_crops import FrameJob, LabelledBoxes, SceneGeometry, crop_frame
from data_prep.kitchen.gmu import layout, reader
from data_prep.kitchen.gmu.calibration_file import read_calibration
from data_prep.kitchen.gmu.camera import Calibration
from data_prep.kitchen.object_models import ObjectModel, identify, read_object
from data_prep.kitchen.store_build import StoreBuild

VIEWS_TO_IDENTIFY = 40
"""Frames of a scene, evenly spaced, that tell which class each of its objects is."""
IMAGES_TO_SIZE = 5
"""Frames of a scene, evenly spaced, that tell how large its frames are."""


def build_from_scenes(root: str | Path, settings: Settings, target: Target, workers: int) -> StoreInfo:
    """Build a store from the scenes under ``root``.

    Args:
        root: folder with ``gmu_scene_00<n>`` and ``gmu-kitchens_info``.
        settings: what to keep, how to cut it out, how to split.
        target: the files to write.
        workers: processes that decode.

    Raises:
        InputError: before an image is decoded: a missing root or scene, a class that no annotation names, too
            many unknown names, an empty split; after all were tried: more bad frames than ``max_bad_share``.
    """
    root = Path(root)
    reader.check_root(root, settings.scenes)
    splits = ("train", "val", "test") if settings.val_share else ("train", "test")
    record = BuildRecord(root, target, settings, "annotated frames")
    build = StoreBuild(record, settings, ClassNames(settings), splits)
    with only_build(target.store):
        return _build(build, workers)


def _build(build: StoreBuild, workers: int) -> StoreInfo:
    root, settings, names = build.record.root, build.settings, build.names
    scenes = _read_scenes(build)
    boxes = {frame: _kept(frame, names) for scene in scenes for frame in scene.frames}
    names.check(root.name, "boxes")
    frames = {scene.number: [frame for frame in scene.frames if boxes[frame]] for scene in scenes}
    split_of = _split(frames, settings)
    for split in build.splits:
        if split not in split_of.values():
            raise InputError(
                f"{root}: split '{split}' is empty: no frame with a kept object falls into it; change "
                f"'test_scenes', 'val_share' or 'classes' of the build settings"
            )
    build.record.details["Scenes"] = [_scene_row(scene, split_of) for scene in scenes]
    geometry = _read_geometry(build, frames, boxes) if settings.geometry else {}

    jobs = [
        FrameJob(root, frame, boxes[frame], geometry.get(frame.scene), settings)
        for group in frames.values()
        for frame in group
    ]
    with progress("cut out instances", len(jobs), "frames") as bar:
        for job, crops in zip(jobs, ordered_map(crop_frame, jobs, workers), strict=True):
            build.add(split_of[job.frame], crops)
            bar.advance()
    return build.finish()


def main() -> None:
    """The command ``python -m data_prep build``."""
    build_from_scenes(**parse_build(__doc__))


def _read_scenes(build: StoreBuild) -> list[reader.Scene]:
    """Read every scene's annotations and poses; fails if too many frames are bad already."""
    numbers = build.settings.scenes
    scenes = []
    with progress("read annotations", len(numbers), "scenes") as bar:
        for number in numbers:
            scene = reader.read_scene(build.record.root, number, build.settings.geometry)
            scenes.append(scene)
            build.record.problems += scene.problems
            build.record.files += [digest(path, build.record.root) for path in scene.files]
            build.record.notes += scene.notes
            bar.advance()
    build.record.total = sum(len(scene.frames) for scene in scenes) + build.record.bad_units
    build.check_problems()
    return scenes


def _kept(frame: reader.Frame, names: ClassNames) -> LabelledBoxes:
    labelled = ((names.label(box.name), box) for box in frame.annotation.boxes)
    return tuple((label, box) for label, box in labelled if label is not None)


def _split(frames: dict[int, list[reader.Frame]], settings: Settings) -> dict[reader.Frame, str]:
    split_of = {}
    for scene, group in frames.items():
        if scene in settings.test_scenes:
            split_of |= dict.fromkeys(group, "test")
        else:
            validates = validation_mask(len(group), settings.val_share, settings.val_blocks)
            split_of |= {frame: "val" if v else "train" for frame, v in zip(group, validates, strict=True)}
    return split_of


def _scene_row(scene: reader.Scene, split_of: dict[reader.Frame, str]) -> dict:
    counts = Counter(split_of[frame] for frame in scene.frames if frame in split_of)
    return {
        "scene": scene.number,
        "images": scene.n_images,
        "without annotation": scene.n_unannotated,
        "without objects": scene.n_empty,
        "bad when listed": len({problem.unit for problem in scene.problems}),
        **{f"{split} frames": counts[split] for split in ("train", "val", "test")},
    }


def _read_geometry(
    build: StoreBuild, frames: dict[int, list[reader.Frame]], boxes: dict[reader.Frame, LabelledBoxes]
) -> dict[int, SceneGeometry]:
    """Read the camera and the 3D objects of every scene that has frames."""
    calibration_file = layout.calibration_path(build.record.root)
    calibration = read_calibration(calibration_file)
    build.record.files.append(digest(calibration_file, build.record.root))
    build.record.details["Objects"] = []
    geometry = {}
    with progress("read 3D objects", len(frames), "scenes") as bar:
        for scene, group in frames.items():
            objects = {}
            if group:
                size = _size(group)
                _check_calibration(calibration_file, calibration, size)
                models = _read_objects(build, scene)
                objects = _objects_by_label(build, scene, models, group, boxes, calibration, size)
            geometry[scene] = SceneGeometry(calibration, layout.DEPTH_SCALES[scene], objects)
            bar.advance()
    return geometry


def _check_calibration(path: Path, calibration: Calibration, size: tuple[int, int]) -> None:
    """Refuse a calibration for frames of another size (a copy scaled down): IoU would quietly be near 0."""
    for centre, side in zip((calibration.cx, calibration.cy), size, strict=True):
        if not 0.25 * side < centre < 0.75 * side:
            raise InputError(
                f"{path}: cx, cy ({calibration.cx:g}, {calibration.cy:g}) are far from the middle of "
                f"{size[0]}×{size[1]} frames; scale fx, fy, cx and cy to these frames, or set the build's "
                f"'geometry' to false"
            )


def _read_objects(build: StoreBuild, scene: int) -> list[ObjectModel]:
    models = []
    for path in reader.object_files(build.record.root, scene):
        try:
            models.append(read_object(path, build.settings.object_points))
            build.record.files.append(digest(path, build.record.root))
        except InputError as error:
            reason = without_root(str(error), build.record.root)
            build.record.notes.append(f"{reason}; without it the IoU and visibility of its boxes are unknown")
    return models


def _objects_by_label(
    build: StoreBuild,
    scene: int,
    models: Sequence[ObjectModel],
    frames: Sequence[reader.Frame],
    boxes: dict[reader.Frame, LabelledBoxes],
    calibration: Calibration,
    size: tuple[int, int],
) -> dict[int, tuple[ObjectModel, ...]]:
    """Tell which class each object of a scene is, from where it projects to in a sample of the frames."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, VIEWS_TO_IDENTIFY).astype(int))
    views = [
        (frames[i].pose, [(label, annotated.box) for label, annotated in boxes[frames[i]]]) for i in chosen
    ]
    objects = defaultdict(tuple)
    identified = identify(models, views, calibration, size)
    for model, (label, score) in zip(models, identified, strict=True):
        if label is not None:
            objects[label] += (model,)
        name = None if label is None else build.names.classes[label]
        row = {"scene": scene, "file": model.path.name, "class": name, "mean IoU": round(score, 3)}
        build.record.details["Objects"].append(row)
    without = {label for frame in frames for label, _ in boxes[frame]} - objects.keys()
    if without:
        names = ", ".join(build.names.classes[label] for label in sorted(without))
        build.record.notes.append(f"scene {scene} has no 3D object for {names}: IoU, visibility unknown")
    return dict(objects)


def _size(frames: Sequence[reader.Frame]) -> tuple[int, int]:
    """(width, height) of a scene's frames: that of most of a few, since any one may be bad."""
    sizes = Counter()
    for i in np.linspace(0, len(frames) - 1, IMAGES_TO_SIZE).astype(int):
        with suppress(InputError):
            sizes[EncodedImage(frames[i].image).size] += 1
    return max(sizes, key=sizes.get, default=layout.FRAME_SIZE)
