"""A scene's camera and 3D objects, and a box's distance, visible fraction and alignment from them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from cld.runtime.progress import progress
from data_prep.common.boxes import Box
from data_prep.common.build_record import without_root
from data_prep.common.source_files import digest
from data_prep.common.voc_annotation import AnnotatedBox
from data_prep.kitchen.gmu import layout, reader
from data_prep.kitchen.gmu.camera import Calibration, read_calibration
from data_prep.kitchen.object_models import ObjectModel, identify, object_iou, read_object
from data_prep.kitchen.store_build import UNKNOWN, StoreBuild
from data_prep.kitchen.visibility import box_distance, visibility

VIEWS_TO_IDENTIFY = 40
"""Number of a scene's frames, evenly spaced, that its 3D objects are identified in."""

LabelledFrame = tuple[reader.Frame, list[tuple[int, AnnotatedBox]]]
"""A frame and its boxes of kept classes, each behind its label."""


@dataclass(frozen=True, eq=False)
class SceneGeometry:
    """What a scene's frames share: the camera, the depth scale, and the objects by label."""

    calibration: Calibration
    scale: float
    objects: dict[int, list[ObjectModel]]

    def measure(
        self, label: int, box: Box, frame: reader.Frame, depth: np.ndarray, tolerance_m: float
    ) -> tuple[float, float, float]:
        """Distance in metres, visible fraction and IoU with the 3D object; NaN where unknown.

        Of several objects of the class, the one that meets the box best is meant. The distance is that of the
        object's visible surface, or of what fills the box where no object is known or none of it is visible.
        """
        height, width = depth.shape
        distance_m, visible_fraction, iou_3d = UNKNOWN, UNKNOWN, UNKNOWN
        models = self.objects.get(label, ())
        if models:
            ious = [object_iou(box, model, frame.pose, self.calibration, (width, height)) for model in models]
            iou_3d = max(ious)
            model = models[ious.index(iou_3d)]
            visible_fraction, distance_m = visibility(
                model, frame.pose, self.calibration, depth, self.scale, tolerance_m
            )
        if np.isnan(distance_m):
            distance_m = box_distance(box, depth, self.calibration)
        return distance_m, visible_fraction, iou_3d


def read_geometry(build: StoreBuild, frames: dict[int, list[LabelledFrame]]) -> dict[int, SceneGeometry]:
    """Read the camera and the 3D objects of every scene that has frames.

    Raises:
        InputError: the calibration cannot be read, or is that of frames of another size.
    """
    record = build.record
    path = layout.calibration_path(record.root)
    calibration = read_calibration(path)
    record.files.append(digest(path, record.root))
    record.details["Objects"] = []
    geometry = {}
    with progress("read 3D objects", len(frames), "scenes") as bar:
        for scene, group in frames.items():
            if group:
                size = _frame_size(group)
                _check_calibration(path, calibration, size)
                objects = _objects_by_label(build, scene, group, calibration, size)
                geometry[scene] = SceneGeometry(calibration, layout.DEPTH_SCALES[scene], objects)
            bar.advance()
    return geometry


def _frame_size(frames: Sequence[LabelledFrame]) -> tuple[int, int]:
    """(width, height) of a scene's frames: as most annotations say, or else the published frames'."""
    sizes = Counter(frame.annotation.size for frame, _ in frames if frame.annotation.size is not None)
    return sizes.most_common(1)[0][0] if sizes else layout.FRAME_SIZE


def _check_calibration(path: Path, calibration: Calibration, size: tuple[int, int]) -> None:
    """Refuse a calibration for frames of another size (a copy scaled down): IoU would silently be near 0."""
    for centre, side in zip((calibration.cx, calibration.cy), size, strict=True):
        if not 0.25 * side < centre < 0.75 * side:
            raise InputError(
                f"{path}: cx, cy ({calibration.cx:g}, {calibration.cy:g}) are far from the middle of "
                f"{size[0]}×{size[1]} frames; scale fx, fy, cx and cy to these frames, or set the build's "
                f"'geometry' to false"
            )


def _objects_by_label(
    build: StoreBuild,
    scene: int,
    frames: Sequence[LabelledFrame],
    calibration: Calibration,
    size: tuple[int, int],
) -> dict[int, list[ObjectModel]]:
    """Read a scene's objects; their projections into a sample of the frames identify the class of each."""
    record, classes = build.record, build.names.classes
    models = []
    for path in reader.object_files(record.root, scene):
        try:
            models.append(read_object(path, build.settings.object_points))
            record.files.append(digest(path, record.root))
        except InputError as error:
            reason = without_root(str(error), record.root)
            record.notes.append(f"{reason}; without it the IoU and visibility of its boxes are unknown")
    chosen = np.unique(np.linspace(0, len(frames) - 1, VIEWS_TO_IDENTIFY).astype(int))
    views = [
        (frame.pose, [(label, annotated.box) for label, annotated in boxes])
        for frame, boxes in (frames[i] for i in chosen)
    ]
    objects = defaultdict(list)
    for model, (label, score) in zip(models, identify(models, views, calibration, size), strict=True):
        if label is not None:
            objects[label].append(model)
        name = None if label is None else classes[label]
        row = {"scene": scene, "file": model.path.name, "class": name, "mean IoU": round(score, 3)}
        record.details["Objects"].append(row)
    without = {label for _, boxes in frames for label, _ in boxes} - objects.keys()
    if without:
        names = ", ".join(classes[label] for label in sorted(without))
        record.notes.append(f"scene {scene} has no 3D object for {names}: IoU, visibility unknown")
    return dict(objects)
