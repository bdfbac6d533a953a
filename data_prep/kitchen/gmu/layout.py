"""The multi-view RGB-D kitchen dataset (GMU Kitchens; Georgakis et al., 3DV 2016) as it lies on disk.

Constants and paths only: the reader and the renderer both import them, so neither can drift from the layout::

    <root>/gmu_scene_00<s>/Images/rgb_<frame>.png           colour, 8 bit
    <root>/gmu_scene_00<s>/Depths/depth_<frame>.png         16 bit, millimetres, 0 = none, registered
    <root>/gmu_scene_00<s>/Annotations/rgb_<frame>.xml      Pascal VOC, 1-based inclusive boxes
    <root>/gmu-kitchens_info/scene_pose_info/calib_color.yaml
    <root>/gmu-kitchens_info/scene_pose_info/scene_<s>_reconstruct_info_frame_sort.mat
    <root>/gmu-kitchens_info/scene_annotation/objects3D/gmu_scene_00<s>/object<id>.ply

``<frame>`` is not zero-padded and has gaps.
"""

from pathlib import Path

INSTANCES = (
    "coca_cola_glass_bottle",
    "coffee_mate_french_vanilla",
    "honey_bunches_of_oats_honey_roasted",
    "hunts_sauce",
    "mahatma_rice",
    "nature_valley_soft_baked_oatmeal_squares_cinnamon_brown_sugar",
    "nature_valley_sweet_and_salty_nut_almond",
    "palmolive_orange",
    "pop_secret_light_butter",
    "pringles_bbq",
    "red_bull",
)
"""The 11 annotated BigBIRD instances, in alphabetical order: the order of the labels."""

ALIASES = {
    "coca_cola": "coca_cola_glass_bottle",
    "coca_cola_bottle": "coca_cola_glass_bottle",
    "coffee": "coffee_mate_french_vanilla",
    "coffee_mate": "coffee_mate_french_vanilla",
    "honey_bunches": "honey_bunches_of_oats_honey_roasted",
    "honey_bunches_of_oats": "honey_bunches_of_oats_honey_roasted",
    "hunts": "hunts_sauce",
    "mahatma": "mahatma_rice",
    "nature_valley_soft_baked": "nature_valley_soft_baked_oatmeal_squares_cinnamon_brown_sugar",
    "nature_valley_oatmeal_squares": "nature_valley_soft_baked_oatmeal_squares_cinnamon_brown_sugar",
    "nature_valley_sweet_and_salty": "nature_valley_sweet_and_salty_nut_almond",
    "palmolive": "palmolive_orange",
    "palmolive_soap": "palmolive_orange",
    "pop_secret": "pop_secret_light_butter",
    "pringles": "pringles_bbq",
}
"""Shortened names found in copies of the dataset. Case, spaces, hyphens and underscores never matter."""

SCENES = tuple(range(1, 10))

DEPTH_SCALES = {
    1: -6.238,
    2: -2.6919,
    3: -6.9887,
    4: -6.1620,
    5: -6.1817,
    6: -7.7468,
    7: -5.8562,
    8: -6.1502,
    9: -5.9528,
}
"""Reconstruction units per metre of sensor depth, by scene; negative, as Z is before the camera."""

DEPTH_UNITS_PER_METRE = 1000

CALIBRATION = {
    **{"fx": 1047.7637710998533, "fy": 1051.1749325842486},
    **{"cx": 959.26120509632392, "cy": 529.11546499433564},
}
"""The published colour camera, in pixels of a 1920×1080 frame; ``calib_color.yaml`` holds the same."""

FRAME_SIZE = (1920, 1080)
"""Width and height of the published frames, in pixels."""


# A scene's colour frames, depth frames and annotations.


def images_folder(root: Path, scene: int) -> Path:
    return root / _scene_name(scene) / "Images"


def image_path(root: Path, scene: int, frame: int) -> Path:
    return images_folder(root, scene) / f"rgb_{frame}.png"


def depths_folder(root: Path, scene: int) -> Path:
    return root / _scene_name(scene) / "Depths"


def depth_path(root: Path, scene: int, frame: int) -> Path:
    return depths_folder(root, scene) / f"depth_{frame}.png"


def annotations_folder(root: Path, scene: int) -> Path:
    return root / _scene_name(scene) / "Annotations"


def annotation_path(root: Path, scene: int, frame: int) -> Path:
    return annotations_folder(root, scene) / f"rgb_{frame}.xml"


def calibration_path(root: Path) -> Path:
    """Calibration of the colour camera, shared by all scenes."""
    return _info(root) / "scene_pose_info" / "calib_color.yaml"


def pose_path(root: Path, scene: int) -> Path:
    """Camera poses of one scene: ``frames``, a 1×F struct array."""
    return _info(root) / "scene_pose_info" / f"scene_{scene}_reconstruct_info_frame_sort.mat"


def objects_folder(root: Path, scene: int) -> Path:
    """Folder of one scene's object point clouds, in world coordinates."""
    return _info(root) / "scene_annotation" / "objects3D" / _scene_name(scene)


def object_path(root: Path, scene: int, number: int) -> Path:
    """Point cloud of one object. Upstream does not say which class a number stands for."""
    return objects_folder(root, scene) / f"object{number}.ply"


def _info(root: Path) -> Path:
    return root / "gmu-kitchens_info"


def _scene_name(scene: int) -> str:
    return f"gmu_scene_{scene:03d}"
