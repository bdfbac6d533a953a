"""Reader of the multi-view RGB-D kitchen dataset, for the published files and for rendered ones.

What differs between copies, and how it is read:

- a pose record may lack its first field: fields are found by name, or else by shape;
- an image's name may carry a folder, a drive or no extension, and a VOC ``filename`` may or may not carry
  ``.png``: a frame is known by the number in its file's own name, and ``filename`` is not used;
- coordinates may be floats; ``truncated`` and ``difficult`` may be missing, words or numbers;
- a frame may have no annotation file, an annotation no object, and numbers have gaps.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from cld.runtime.errors import InputError
from data_prep.common.build_record import Problem, problem, some
from data_prep.common.voc_annotation import Annotation, read_annotation
from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.camera import Pose
from data_prep.kitchen.gmu.pose_file import read_poses

SOURCE = (
    "GMU Kitchens (multi-view RGB-D kitchen dataset, 3DV 2016: the folders gmu_scene_001 … gmu_scene_009, "
    "each with Images, Depths and Annotations, and gmu-kitchens_info)"
)
CONFIG_KEY = "data.paths.gmu_kitchens of config/config.yaml"
FOLDERS_SHOWN = 4


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
    """One scene, and what was left out on the way."""

    number: int
    frames: list[Frame]  # with at least one annotated object and no problem, by number
    n_images: int  # colour frames on disk
    n_unannotated: int  # of these
    n_empty: int  # annotated frames without an object
    problems: list[Problem]  # the frames concerned are not in ``frames``
    files: list[Path]  # the annotation and pose files read


def check_root(root: Path, scenes: tuple[int, ...]) -> None:
    """Check that ``root`` holds the images and annotations of every one of ``scenes``."""
    needed = (layout.images_folder, layout.annotations_folder)
    folders = [folder(root, scene) for scene in scenes for folder in needed]
    missing = [folder.relative_to(root).as_posix() for folder in folders if not folder.is_dir()]
    if missing:
        raise InputError(
            f"{root}: no folder {some(missing, FOLDERS_SHOWN)}; fetch {SOURCE} and point {CONFIG_KEY} at the "
            f"folder that holds them, or name the scenes that are there as 'scenes' of the build settings"
        )


def read_scene(root: Path, scene: int, geometry: bool = True) -> Scene:
    """Read one scene's annotations and poses, no image; with ``geometry``, frames need depth and a pose."""
    images = _numbered_files(layout.images_folder(root, scene), "rgb", "png")
    depths = _numbered_files(layout.depths_folder(root, scene), "depth", "png")
    annotations = _numbered_files(layout.annotations_folder(root, scene), "rgb", "xml")
    pose_file = layout.pose_path(root, scene)
    poses = read_poses(pose_file) if geometry else {}
    files = [pose_file] if geometry else []
    frames, problems, n_empty = [], [], 0
    for number, path in annotations.items():
        unit = f"scene {scene} frame {number}"
        try:
            annotation = read_annotation(path)
        except InputError as error:
            problems.append(problem(unit, path, root, "annotation unreadable", str(error)))
            continue
        files.append(path)
        if not annotation.boxes:
            n_empty += 1
            continue
        missing = []
        if number not in images:
            missing.append((layout.image_path(root, scene, number), "image missing"))
        if geometry and number not in depths:
            missing.append((layout.depth_path(root, scene, number), "depth missing"))
        if geometry and poses.get(number) is None:
            missing.append((pose_file, "pose missing"))
        problems += [problem(unit, at, root, reason) for at, reason in missing]
        if not missing:
            frames.append(
                Frame(scene, number, images[number], depths.get(number), poses.get(number), annotation)
            )
    n_unannotated = len(images.keys() - annotations.keys())
    return Scene(scene, frames, len(images), n_unannotated, n_empty, problems, files)


def object_files(root: Path, scene: int) -> list[Path]:
    """Point clouds of a scene's objects, by number; none where the folder is missing."""
    return list(_numbered_files(layout.objects_folder(root, scene), "object", "ply").values())


def _numbered_files(folder: Path, stem: str, suffix: str) -> dict[int, Path]:
    """Files ``<stem>_<number>.<suffix>`` by number, in numerical order."""
    if not folder.is_dir():
        return {}
    pattern = re.compile(rf"{stem}_?(\d+)\.{suffix}", re.IGNORECASE)
    matches = ((pattern.fullmatch(path.name), path) for path in folder.iterdir())
    return dict(sorted((int(match[1]), path) for match, path in matches if match))
