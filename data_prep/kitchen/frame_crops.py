"""Crops of one frame: it is decoded once, then each of its boxes is measured, filtered and cut out."""

from collections.abc import Mapping
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.common.boxes import Box, clip, crop_region
from data_prep.common.build_record import problem
from data_prep.common.image_files import EncodedImage, resized
from data_prep.common.settings import Settings
from data_prep.common.source_files import digest
from data_prep.common.voc_annotation import AnnotatedBox
from data_prep.kitchen.scene_geometry import LabelledFrame, SceneGeometry
from data_prep.kitchen.store_build import UNKNOWN, Crops, Instance


def crop_frame(
    job: LabelledFrame, root: Path, settings: Settings, geometry: Mapping[int, SceneGeometry]
) -> Crops:
    """Cut a frame's boxes out; whatever is wrong with its files is reported, never raised.

    ``geometry`` is by scene; none where the settings ask for none.
    """
    (frame, boxes), crops = job, Crops()
    scene = geometry.get(frame.scene)

    def report(path: Path, reason: str, detail: str = "") -> Crops:
        crops.problems.append(problem(frame.unit, path, root, reason, detail))
        return crops

    path, reason = frame.image, "image unreadable"
    try:
        encoded = EncodedImage(path)
        annotated_size = frame.annotation.size
        if annotated_size not in (None, encoded.size):
            detail = f"{_size(encoded.size)}, its annotation says {_size(annotated_size)}"
            return report(path, "image size disagrees with its annotation", detail)
        image, depth = encoded.colour(), None
        crops.files.append(digest(path, root, encoded.content))
        if scene is not None:
            path, reason = frame.depth, "depth unreadable"
            encoded_depth = EncodedImage(path)
            if encoded_depth.size != encoded.size:
                detail = f"{_size(encoded_depth.size)}, the image is {_size(encoded.size)}"
                return report(path, "depth size disagrees with the image", detail)
            depth = encoded_depth.depth()
            crops.files.append(digest(path, root, encoded_depth.content))
    except InputError as error:
        return report(path, reason, str(error))

    for label, annotated in boxes:
        inside = clip(annotated.box, *encoded.size)
        if inside.area == 0:
            reason = "box without an area" if annotated.box.area == 0 else "box outside the frame"
            report(frame.image, reason, f"{annotated.name} {tuple(annotated.box)} in {_size(encoded.size)}")
            continue
        crops.n_clipped += inside != annotated.box
        drop = _drop_by_annotation(annotated, inside, settings)
        measures = (UNKNOWN, UNKNOWN, UNKNOWN)
        if drop is None and scene is not None:
            measures = scene.measure(label, inside, frame, depth, settings.visible_tolerance_m)
            drop = _drop_by_geometry(*measures[1:], settings)
        if drop is not None:
            crops.dropped[drop] += 1
            continue
        region = crop_region(inside, *encoded.size, settings.context, settings.fit)
        crops.images.append(resized(image, region, settings.image_size))
        image_path = frame.image.relative_to(root).as_posix()
        flags = (annotated.truncated, annotated.difficult)
        crops.instances.append(
            Instance(image_path, label, frame.scene, frame.number, inside, *flags, *measures)
        )
    return crops


def _drop_by_annotation(annotated: AnnotatedBox, inside: Box, settings: Settings) -> str | None:
    if settings.drop_difficult and annotated.difficult:
        return "difficult"
    if settings.drop_truncated and annotated.truncated:
        return "truncated"
    if inside.area < settings.min_inside * annotated.box.area:
        return "mostly outside the frame"
    if min(inside.width, inside.height) < settings.min_side_px:
        return "too small"
    return None


def _drop_by_geometry(visible_fraction: float, iou_3d: float, settings: Settings) -> str | None:
    """Unknown (NaN) values compare false: what cannot be measured is no reason to drop."""
    if visible_fraction < settings.min_visible:
        return "mostly hidden"
    if iou_3d < settings.min_iou:
        return "misaligned with its 3D object"
    return None


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
