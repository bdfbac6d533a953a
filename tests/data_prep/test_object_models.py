import numpy as np
import pytest
import toy_kitchen as toy

from cld.runtime.errors import InputError
from data_prep.common.boxes import Box, from_voc
from data_prep.kitchen.gmu.camera import Calibration, Pose
from data_prep.kitchen.object_models import ObjectModel, identify, object_iou, projected_box, read_object
from data_prep.kitchen.visibility import box_distance, visibility

CALIBRATION = Calibration(toy.FX, toy.FY, toy.CX, toy.CY)
SIZE = (toy.WIDTH, toy.HEIGHT)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The toy kitchen's objects, in the world of scene 1."""
    folder = tmp_path_factory.mktemp("objects")
    rng = np.random.default_rng(0)
    for name, block in toy.OBJECTS.items():
        toy.write_ply(folder / f"{name}.ply", toy.to_file_world(block.surface(4000, rng), 1))
    return {name: read_object(folder / f"{name}.ply", 1000) for name in toy.OBJECTS}


def pose(frame: int) -> Pose:
    return Pose(*toy.pose(1, frame))


def millimetres(frame: int) -> np.ndarray:
    """What an exact depth sensor reads."""
    depth = toy.view(1, frame).depth
    return np.rint(np.where(np.isfinite(depth), depth, 0) * 1000).astype(np.uint16)


def seen(model: ObjectModel, depth: np.ndarray, pose: Pose) -> tuple[float, float]:
    return visibility(model, pose, CALIBRATION, depth, toy.SCALES[1], tolerance_m=0.05)


@pytest.mark.parametrize("frame", [3, 100])
@pytest.mark.parametrize("name", toy.OBJECTS)
def test_a_free_object_is_projected_seen_and_at_its_distance(models, name, frame):
    model, view, block = models[name], toy.view(1, frame), toy.OBJECTS[name]
    silhouette = from_voc(*view.voc_box(block))
    np.testing.assert_allclose(projected_box(model, pose(frame), CALIBRATION), silhouette, atol=1)
    assert object_iou(silhouette, model, pose(frame), CALIBRATION, SIZE) > 0.92
    fraction, distance_m = seen(model, millimetres(frame), pose(frame))
    assert fraction > 0.9
    assert distance_m == pytest.approx(view.distance(block), rel=0.02)


def test_an_object_behind_the_camera_has_no_box(models):
    rotation, translation = toy.pose(1, 3)
    turned = Pose(np.diag([-1, 1, -1]) @ rotation, np.diag([-1, 1, -1]) @ translation)
    assert projected_box(models[toy.COLA], turned, CALIBRATION) is None
    assert object_iou(Box(0, 0, 50, 50), models[toy.COLA], turned, CALIBRATION, SIZE) == 0
    np.testing.assert_equal(seen(models[toy.COLA], millimetres(3), turned), (0, np.nan))


@pytest.mark.parametrize("hidden", [0.0, 0.25, 0.9, 1.0])
def test_what_stands_before_an_object_hides_its_share(models, hidden):
    xmin, _, xmax, _ = toy.view(1, 12).voc_box(toy.OBJECTS[toy.COLA])
    depth = millimetres(12)
    depth[:, : round(xmin - 1 + hidden * (xmax - xmin + 1))] = 700  # nearer than the object
    fraction, _ = seen(models[toy.COLA], depth, pose(12))
    assert fraction == pytest.approx(1 - hidden, abs=0.07)


def test_holes_count_neither_way_and_what_is_outside_the_frame_as_hidden(models):
    xmin, _, xmax, _ = toy.view(1, 12).voc_box(toy.OBJECTS[toy.COLA])
    depth = millimetres(12)
    whole, _ = seen(models[toy.COLA], depth, pose(12))
    left_half, _ = seen(models[toy.COLA], depth[:, : (xmin + xmax) // 2], pose(12))
    assert left_half == pytest.approx(whole / 2, abs=0.07)
    depth[np.random.default_rng(0).random(depth.shape) < 0.5] = 0
    with_holes, _ = seen(models[toy.COLA], depth, pose(12))
    assert with_holes == pytest.approx(whole, abs=0.04)
    assert np.isnan(seen(models[toy.COLA], 0 * depth, pose(12))).all()


def test_box_distance_is_that_of_its_central_half():
    depth = np.full((40, 60), 3000, dtype=np.uint16)
    depth[10:30, 10:30] = 1000
    depth[18:22, 15:25] = 0  # a hole
    calibration = Calibration(1e6, 1e6, 30, 20)  # rays as good as parallel
    assert box_distance(Box(5, 5, 35, 35), depth, calibration) == pytest.approx(1.0, rel=1e-3)
    assert box_distance(Box(40, 0, 60, 40), depth, calibration) == pytest.approx(3.0, rel=1e-3)
    assert box_distance(Box(59.2, 39.2, 60, 40), depth, calibration) == pytest.approx(3.0, rel=1e-3)
    assert np.isnan(box_distance(Box(16, 19, 24, 21), depth, calibration))


def test_objects_are_identified_by_where_they_project_to(models):
    labels = {toy.COLA: 5, toy.BULL: 2}
    views = [
        (
            pose(frame),
            [(labels[name], from_voc(*toy.view(1, frame).voc_box(toy.OBJECTS[name]))) for name in labels],
        )
        for frame in toy.FRAMES
    ]
    only_cola = [(p, [box for box in boxes if box[0] == 5]) for p, boxes in views[:-2]] + views[-2:]
    for shown in (views, only_cola):  # a class seldom annotated is found all the same
        found = identify([models[toy.BULL], models[toy.COLA]], shown, CALIBRATION, SIZE)
        assert [label for label, _ in found] == [2, 5]
        assert min(score for _, score in found) > 0.9
    for shown in ([(pose(3), [(0, Box(0, 0, 20, 20))])], []):  # it meets no box
        assert identify([models[toy.COLA]], shown, CALIBRATION, SIZE) == [(None, 0.0)]


def test_stray_points_do_not_widen_an_object(models, tmp_path):
    rng = np.random.default_rng(1)
    points = toy.OBJECTS[toy.COLA].surface(3000, rng)
    stray = np.array(toy.OBJECTS[toy.COLA].centre) + rng.normal(0, 0.5, (6, 3))
    toy.write_ply(tmp_path / "object1.ply", toy.to_file_world(np.concatenate([points, stray]), 1))
    box = projected_box(read_object(tmp_path / "object1.ply", 500), pose(3), CALIBRATION)
    np.testing.assert_allclose(box, projected_box(models[toy.COLA], pose(3), CALIBRATION), atol=1.5)


@pytest.mark.parametrize("content", [None, b"", b"not a point cloud", "cut short", "flat"])
def test_broken_point_clouds_are_input_errors(tmp_path, content):
    path = tmp_path / "object1.ply"
    points = np.random.default_rng(0).random((200, 3))
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "cut short":
        toy.write_ply(path, points)
        path.write_bytes(path.read_bytes()[:2000])
    elif content == "flat":
        toy.write_ply(path, points * [1, 1, 0])
    with pytest.raises(InputError, match=r"object1\.ply: "):
        read_object(path, 100)


def test_a_scan_of_one_side_is_wholly_visible_from_where_it_was_scanned(tmp_path):
    """A cloud of one depth frame that is hollow towards the camera, so that its centre lies before it."""
    rows, columns = np.mgrid[60:180, 100:220]
    metres = 1.0 + 0.25 * np.cos(np.pi * (columns - 160) / 130) * np.cos(np.pi * (rows - 120) / 130)
    depth = np.full((toy.HEIGHT, toy.WIDTH), 3000, dtype=np.uint16)
    depth[rows, columns] = np.rint(1000 * metres)
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float)
    toy.write_ply(
        tmp_path / "object1.ply",
        toy.back_project(pixels, metres.ravel(), toy.SCALES[1], pose(3), CALIBRATION),
    )
    model = read_object(tmp_path / "object1.ply", 1000)
    for hidden in (0.0, 0.3, 0.7):
        covered = depth.copy()
        covered[:, : round(100 + 120 * hidden)] = 500
        fraction, distance_m = seen(model, covered, pose(3))
        assert fraction == pytest.approx(1 - hidden, abs=0.04)
        assert distance_m == pytest.approx(1.15, abs=0.1)
