"""A tiny kitchen in the upstream layout, ray-cast against axis-aligned blocks: every answer is known."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from data_prep.kitchen.gmu.camera import Calibration, Pose

WIDTH, HEIGHT = 320, 240
FX, FY, CX, CY = 260.0, 250.0, 162.0, 117.0
SCALES = {1: -6.238, 2: -2.6919, 3: -6.9887}  # as upstream gives them
FRAMES = (3, 4, 5, 7, 8, 12, 13, 20, 21, 100)  # gaps, no zero padding, not in the order of their names
EMPTY_FRAME, UNANNOTATED_FRAME = 101, 102
COLA, BULL = "coca_cola_glass_bottle", "red_bull"

# The blocks' world is metric; the files' world is this one rotated, moved and scaled.
TURN, MOVE = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix(), np.array([0.7, -1.1, 2.3])


@dataclass(frozen=True)
class Block:
    """A box of metric size ``size`` around ``centre``."""

    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    colour: tuple[int, int, int]

    @property
    def corners(self) -> np.ndarray:
        return np.array(self.centre) + np.array([[-0.5], [0.5]]) * np.array(self.size)

    def surface(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Points spread evenly over the six faces, (n, 3)."""
        size = np.array(self.size)
        areas = size.prod() / size
        axis = rng.choice(3, n, p=areas / areas.sum())
        points = rng.random((n, 3))
        points[np.arange(n), axis] = rng.integers(0, 2, n)
        return np.array(self.centre) + (points - 0.5) * size


WALL = Block((0, 0, -3), (10, 10, 0.1), (90, 120, 90))
OBJECTS = {
    COLA: Block((-0.25, 0.0, -1.5), (0.14, 0.40, 0.10), (200, 20, 30)),
    BULL: Block((0.22, -0.05, -1.3), (0.16, 0.30, 0.08), (20, 40, 180)),
}
OCCLUDER = Block((0.23, -0.05, -0.95), (0.12, 0.5, 0.02), (220, 220, 220))  # before the red bull's right part


@dataclass
class View:
    """One frame's camera, and what it sees: metric depth (H, W) and the block at each pixel."""

    rotation: np.ndarray
    eye: np.ndarray
    blocks: list[Block]
    depth: np.ndarray = field(init=False)
    seen: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        depths = np.stack([self.depth_of(block) for block in self.blocks])
        self.seen = depths.argmin(axis=0)
        self.depth = depths.min(axis=0)

    @property
    def rays(self) -> np.ndarray:
        """Direction of each pixel's ray with unit depth, in camera axes: x right, y up, z backwards."""
        v, u = np.mgrid[:HEIGHT, :WIDTH]
        return np.stack([(u - CX) / FX, -(v - CY) / FY, -np.ones_like(u, dtype=float)], axis=-1)

    def depth_of(self, block: Block) -> np.ndarray:
        """Depth of the block alone, infinite where a ray misses it."""
        rays = self.rays @ self.rotation
        with np.errstate(divide="ignore"):
            crossings = (block.corners[:, None, None] - self.eye) / rays
        near, far = crossings.min(axis=0).max(axis=-1), crossings.max(axis=0).min(axis=-1)
        return np.where((near <= far) & (near > 0), near, np.inf)

    def distance(self, block: Block) -> float:
        """Median distance along the rays that end on the block."""
        own = self.seen == self.blocks.index(block)
        return float(np.median((self.depth * np.linalg.norm(self.rays, axis=-1))[own]))

    def visible_fraction(self, block: Block) -> float:
        """Share of the block's silhouette that nothing hides."""
        return (
            np.count_nonzero(self.seen == self.blocks.index(block)) / np.isfinite(self.depth_of(block)).sum()
        )

    def voc_box(self, block: Block) -> tuple[int, int, int, int]:
        """The whole silhouette's xmin, ymin, xmax, ymax: 1-based, inclusive."""
        rows, columns = np.nonzero(np.isfinite(self.depth_of(block)))
        return columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1


@cache
def view(scene: int, frame: int) -> View:
    """The camera of a frame; scene 3 has the occluder."""
    step = (*FRAMES, EMPTY_FRAME, UNANNOTATED_FRAME).index(frame)
    rotation = Rotation.from_euler("xyz", [2, 3 - 0.8 * step, scene - 2], degrees=True).as_matrix()
    eye = np.array([0.02 * step - 0.1, 0.03 * scene, 0.05 * scene])
    blocks = [WALL, *OBJECTS.values()] + ([OCCLUDER] if scene == 3 else [])
    return View(rotation, eye, blocks)


def pose(scene: int, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Rw2c and Tw2c in the files' world."""
    camera = view(scene, frame)
    rotation = camera.rotation @ TURN.T
    return rotation, -rotation @ to_file_world(camera.eye[None], scene)[0]


def to_file_world(points: np.ndarray, scene: int) -> np.ndarray:
    """Metric points (N, 3) in the rotated, moved and scaled world of the files."""
    return (points @ TURN.T + MOVE) * abs(SCALES[scene])


def back_project(
    pixels: np.ndarray, metres: np.ndarray, scale: float, pose: Pose, calibration: Calibration
) -> np.ndarray:
    """World points (N, 3) seen at ``pixels`` (N, 2) with sensor depth ``metres`` (N,)."""
    z = metres * scale
    x = -(pixels[:, 0] - calibration.cx) * z / calibration.fx
    y = (pixels[:, 1] - calibration.cy) * z / calibration.fy
    return (np.stack([x, y, z], axis=1) - pose.translation) @ pose.rotation


def write_kitchen(root: Path) -> None:
    """Write scenes 1 to 3 under ``root``, in the upstream layout."""
    info = root / "gmu-kitchens_info"
    (info / "scene_pose_info").mkdir(parents=True)
    (info / "scene_pose_info" / "calib_color.yaml").write_text(f"fx: {FX}\nfy: {FY}\ncx: {CX}\ncy: {CY}\n")
    for scene in SCALES:
        _write_scene(root, scene)


def _write_scene(root: Path, scene: int) -> None:
    rng = np.random.default_rng(scene)
    folder, info = root / f"gmu_scene_00{scene}", root / "gmu-kitchens_info"
    objects = info / "scene_annotation" / "objects3D" / f"gmu_scene_00{scene}"
    for path in (folder / "Images", folder / "Depths", folder / "Annotations", objects):
        path.mkdir(parents=True)
    numbers = (*FRAMES, EMPTY_FRAME, UNANNOTATED_FRAME)
    for number in numbers:
        seen = view(scene, number)
        colours = np.array([block.colour for block in seen.blocks])[seen.seen]
        noisy = np.clip(colours + rng.normal(0, 8, colours.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / "Images" / f"rgb_{number}.png")
        depth = np.rint(seen.depth * 1000).astype(np.uint16)
        depth[rng.random(depth.shape) < 0.05] = 0  # holes
        Image.fromarray(depth).save(folder / "Depths" / f"depth_{number}.png")
    for number in numbers[:-1]:
        boxes = [(name, view(scene, number).voc_box(block)) for name, block in OBJECTS.items()]
        write_voc(folder / "Annotations" / f"rgb_{number}.xml", boxes if number in FRAMES else [])
    # the objects' numbers say nothing of their classes
    for number, name in zip((7, 4), OBJECTS, strict=True):
        write_ply(objects / f"object{number}.ply", to_file_world(OBJECTS[name].surface(3000, rng), scene))
    write_poses(info / "scene_pose_info" / f"scene_{scene}_reconstruct_info_frame_sort.mat", scene, numbers)


def write_voc(path: Path, boxes: list, size: tuple[int, int] = (WIDTH, HEIGHT), flags: str = "") -> None:
    """Write a Pascal-VOC file of (name, (xmin, ymin, xmax, ymax)) boxes."""
    objects = "".join(
        f"<object><name>{escape(name)}</name><pose>Unspecified</pose>{flags}<bndbox><xmin>{xmin}</xmin>"
        f"<ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
        for name, (xmin, ymin, xmax, ymax) in boxes
    )
    path.write_text(
        f"<annotation><folder>{path.parent.name}</folder><filename>{path.stem}</filename><size>"
        f"<width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{objects}</annotation>"
    )


def write_poses(
    path: Path,
    scene: int,
    numbers: tuple[int, ...] = FRAMES,
    fields: tuple[str, ...] = ("unused", "intrinsics", "Rw2c", "Tw2c", "imgName"),
) -> None:
    """Write a 1×F struct array; four ``fields`` leave the first value out."""
    frames = np.empty((1, len(numbers)), dtype=[(field, object) for field in fields])
    for column, number in enumerate(numbers):
        rotation, translation = pose(scene, number)
        values = (
            np.zeros((1, 2)),
            np.array([[FX, 0.1, 0.2]]),
            rotation,
            translation[None],
            f"rgb_{number}.png",
        )
        frames[0, column] = values[-len(fields) :]
    savemat(path, {"frames": frames})


def write_ply(path: Path, points: np.ndarray) -> None:
    """Write an ASCII point cloud."""
    header = f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n"
    header += "".join(f"property float {axis}\n" for axis in "xyz") + "end_header\n"
    path.write_text(header + "".join(f"{x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in points))
