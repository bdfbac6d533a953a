"""Reader of the multi-view RGB-D kitchen dataset, for the published files and for rendered ones.

What differs between copies, and how it is read:

- a pose record may lack its first field: fields are found by name, or else by shape;
- an image's name may carry a folder, a drive or no extension, and a VOC ``filename`` may or may not carry
  ``.png``: a frame is known by the number in its file's own name, and ``filename`` is not used;
- coordinates may be floats; ``truncated`` and ``difficult`` may be missing, words or numbers;
- a frame may have no annotation file, an annotation no object, and numbers have gaps;
- a scene without ``Annotations`` is read from its ``bboxes`` ``.mat``, which knows neither size nor flags.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cld.runtime.errors import InputError
from data_prep.common.boxes import from_voc
from data_prep.common.build_record import Problem, problem
from data_prep.common.voc_annotation import AnnotatedBox, Annotation, read_annotation
from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.camera import Pose
from data_prep.kitchen.gmu.matlab_files import load_variable, records

SOURCE = (
    "GMU Kitchens (multi-view RGB-D kitchen dataset, 3DV 2016: the folders gmu_scene_001 … gmu_scene_009, "
    "each with Images, Depths and Annotations, and gmu-kitchens_info)"
)
CONFIG_KEY = "data.paths.gmu_kitchens of config/config.yaml"


@dataclass(frozen=True, eq=False)
class Frame:
    """One annotated frame; ``depth`` and ``pose`` may be None only where no geometry was asked for."""

    scene: int
    number: int
    image: Path
    depth: Path | None
    pose: Pose | None
    annotation: Annotation

    @property
    def unit(self) -> str:
        """The frame's name in reports."""
        return f"scene {self.scene} frame {self.number}"


@dataclass(frozen=True, eq=False)
class Scene:
    """One scene: its frames with objects, by number, and what was left out on the way.

    Attributes:
        number: the scene's number.
        frames: frames with at least one annotated object and no problem.
        n_images: colour frames on disk.
        n_unannotated: of these, the ones without an annotation.
        n_empty: annotated frames without an object.
        problems: what could not be read or is missing; the frames concerned are not in ``frames``.
        files: the annotation and pose files read.
        notes: what a reader of the report should know.
    """

    number: int
    frames: tuple[Frame, ...]
    n_images: int
    n_unannotated: int
    n_empty: int
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def check_root(root: str | Path, scenes: tuple[int, ...]) -> None:
    """Check that ``root`` holds the dataset and every one of ``scenes``.

    Raises:
        InputError: it does not; the message says what to fetch.
    """
    root = Path(root)
    there = [scene for scene in scenes if layout.images_folder(root, scene).is_dir()]
    if not there:
        state = "holds no gmu_scene_00<n>/Images" if root.is_dir() else "no such folder"
        raise InputError(
            f"{root}: {state}; fetch {SOURCE} and point {CONFIG_KEY} at the folder that holds them"
        )
    missing = [scene for scene in scenes if scene not in there]
    if missing:
        names = ", ".join(str(layout.images_folder(root, scene).relative_to(root)) for scene in missing)
        raise InputError(
            f"{root}: no folder {names}; fetch what is missing of {SOURCE}, or set the build's 'scenes' to "
            f"{there}"
        )


def read_scene(root: str | Path, scene: int, geometry: bool = True) -> Scene:
    """Read one scene's annotations and poses, no image.

    Args:
        root: folder of the dataset.
        scene: the scene's number.
        geometry: whether frames need a depth image and a pose.

    Raises:
        InputError: the poses cannot be read; or there are no ``Annotations``, and the scene's ``bboxes``
            ``.mat`` cannot be read or matched with its frames.
    """
    root = Path(root)
    images = _numbered_files(layout.images_folder(root, scene), "rgb", "png")
    depths = _numbered_files(layout.depths_folder(root, scene), "depth", "png")
    problems, files, notes = [], [], []

    def report(number: int, path: Path, reason: str, detail: str = "") -> None:
        problems.append(problem(f"scene {scene} frame {number}", path, root, reason, detail))

    pose_file = layout.pose_path(root, scene)
    poses = read_poses(pose_file) if geometry else {}
    files += [pose_file] if geometry else []

    if layout.annotations_folder(root, scene).is_dir():
        annotation_files = _numbered_files(layout.annotations_folder(root, scene), "rgb", "xml")
        annotated = annotation_files.keys()
        annotations = {}
        for number, path in annotation_files.items():
            try:
                annotations[number] = read_annotation(path)
                files.append(path)
            except InputError as error:
                report(number, path, "annotation unreadable", str(error))
    else:
        boxes_file = layout.boxes_path(root, scene)
        annotations = read_boxes(boxes_file, [list(poses), list(images)])
        annotated = annotations.keys()
        files.append(boxes_file)
        origin = boxes_file.relative_to(root).as_posix()
        notes.append(f"scene {scene} has no Annotations: its boxes are those of {origin}")

    frames = []
    for number, annotation in sorted(annotations.items()):
        if not annotation.boxes:
            continue
        pose, faults = poses.get(number), []
        if number not in images:
            faults.append((layout.image_path(root, scene, number), "image missing"))
        if geometry and number not in depths:
            faults.append((layout.depth_path(root, scene, number), "depth missing"))
        if geometry and pose is None:
            faults.append((pose_file, "pose missing"))
        for fault in faults:
            report(number, *fault)
        if not faults:
            frames.append(Frame(scene, number, images[number], depths.get(number), pose, annotation))
    return Scene(
        number=scene,
        frames=tuple(frames),
        n_images=len(images),
        n_unannotated=len(images.keys() - annotated),
        n_empty=sum(not annotation.boxes for annotation in annotations.values()),
        problems=tuple(problems),
        files=tuple(files),
        notes=tuple(notes),
    )


def read_poses(path: Path) -> dict[int, Pose | None]:
    """Read a scene's poses by frame number, in the file's order; None where an entry is not a rotation.

    Raises:
        InputError: the file is missing, not MATLAB's, or names no frame.
    """
    poses = {}
    for record in records(load_variable(path, "frames")):
        name, rotation, translation = _pose_fields(record)
        number = trailing_number(name)
        if number is not None:
            poses[number] = _pose(rotation, translation)
    if not poses:
        raise InputError(f"{path}: 'frames' names no frame; fetch the file again")
    return poses


def read_boxes(path: Path, orders: list[list[int]]) -> dict[int, Annotation]:
    """Read a scene's ``bboxes``, 1-based and inclusive like the XML, by frame number.

    Args:
        path: the ``.mat`` file.
        orders: frame numbers that the file's entries may stand for where they name no image; the first of
            these with as many numbers as the file has entries is taken.

    Raises:
        InputError: the file is missing, not MATLAB's, has a box without a name or coordinate, or entries that
            neither name their image nor match an order.
    """
    cells = load_variable(path, "bboxes")
    cells = list(cells) if isinstance(cells, np.ndarray) and cells.dtype == object else [cells]
    order = next((candidate for candidate in orders if len(candidate) == len(cells)), None)
    annotations = {}
    for position, cell in enumerate(cells):
        boxes, number = [], None
        for record in records(cell):
            try:
                sides = (float(record[side]) for side in ("left", "top", "right", "bottom"))
                boxes.append(AnnotatedBox(record["category"].strip(), from_voc(*sides)))
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise InputError(
                    f"{path}: entry {position + 1} has a box that cannot be read ({error})"
                ) from error
            number = trailing_number(record.get("imgname"))
        if number is None and order is not None:
            number = order[position]
        if number is not None:
            annotations[number] = Annotation(None, tuple(boxes))
        elif boxes:
            sizes = " or ".join(str(len(candidate)) for candidate in orders)
            raise InputError(
                f"{path}: {len(cells)} entries that name no image cannot be matched with {sizes} frames; "
                f"fetch the scene again, or its Annotations"
            )
    return annotations


def object_files(root: str | Path, scene: int) -> list[Path]:
    """Point clouds of a scene's objects, by number; none where the folder is missing."""
    return list(_numbered_files(layout.objects_folder(root, scene), "object", "ply").values())


def trailing_number(name: object) -> int | None:
    """The number that ends a file's name, whatever its folder and extension; None where there is none."""
    match = re.search(r"(\d+)(?:\.[A-Za-z]\w*)?$", re.split(r"[\\/]", str(name).strip())[-1])
    return int(match[1]) if match else None


def _numbered_files(folder: Path, stem: str, suffix: str) -> dict[int, Path]:
    """Files ``<stem>_<number>.<suffix>`` by number, in numerical order."""
    if not folder.is_dir():
        return {}
    pattern = re.compile(rf"{stem}_?(\d+)\.{suffix}", re.IGNORECASE)
    matches = ((pattern.fullmatch(path.name), path) for path in folder.iterdir())
    return dict(sorted((int(match[1]), path) for match, path in matches if match))


def _pose_fields(record: dict[str, object]) -> tuple[object, object, object]:
    """Image name, rotation and translation of one record: by field name, or else by shape."""
    if {"rw2c", "tw2c", "imgname"} <= record.keys():
        return record["imgname"], record["rw2c"], record["tw2c"]
    name, rotation, translation = "", None, None
    for value in record.values():
        if isinstance(value, str):
            name = value
        elif np.shape(value) == (3, 3):
            rotation = value
        # (f, k1, k2) has three numbers as well, but stands before the rotation
        elif np.size(value) == 3 and rotation is not None:
            translation = value
    return name, rotation, translation


def _pose(rotation: object, translation: object) -> Pose | None:
    try:
        rotation = np.asarray(rotation, dtype=float).reshape(3, 3)
        translation = np.asarray(translation, dtype=float).reshape(3)
    except (TypeError, ValueError):
        return None
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-2)
    return Pose(rotation, translation) if is_rotation and np.isfinite(translation).all() else None
