"""The renderer's parts: meshes, textures, camera, depth sensor."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from toy_kitchen import back_project

from data_prep.kitchen.gmu import layout
from data_prep.kitchen.gmu.camera import project
from data_prep.synthetic.kitchen.camera_path import (
    camera_path,
    look_at,
    scaled_calibration,
    to_reconstruction,
)
from data_prep.synthetic.kitchen.depth_sensor import FAR_M, NEAR_M, sense
from data_prep.synthetic.kitchen.kitchen_scene import (
    LYING_KITCHENS,
    N_CLUTTER,
    N_PRODUCTS,
    compose_kitchen,
    deal_postures,
    rotation_z,
)
from data_prep.synthetic.kitchen.label_art import plain
from data_prep.synthetic.kitchen.meshes import Surface, box, merged, revolution, surface_points
from data_prep.synthetic.kitchen.products import product
from data_prep.synthetic.kitchen.ray_caster import RayCaster, pixel_grid, ray_directions
from data_prep.synthetic.kitchen.textures import TextureAtlas

GREY = plain((128, 128, 128))


def geometric_normals(mesh):
    edges = mesh.corners[:, 1:] - mesh.corners[:, :1]
    return np.cross(edges[:, 0], edges[:, 1])


@pytest.mark.parametrize("name", layout.INSTANCES)
def test_products_are_sound_meshes(name):
    mesh = product(name)
    assert np.allclose(np.linalg.norm(mesh.normals, axis=-1), 1)
    assert (
        np.einsum("tc,tkc->tk", geometric_normals(mesh), mesh.normals) > 0
    ).all()  # wound the way they face
    width, depth, height = np.ptp(mesh.corners, axis=(0, 1))
    assert 0.02 < depth <= width + 1e-6 < 0.25
    assert 0.1 < height < 0.32
    assert mesh.corners[..., 2].min() == pytest.approx(0)


def test_front_of_a_wrap_is_the_middle_of_its_image_and_u_runs_to_the_right():
    mesh = revolution([(0.5, 0), (0.5, 2)], GREY, segments=8)
    places, uvs = mesh.corners.reshape(-1, 3), mesh.uvs.reshape(-1, 2)
    assert np.allclose(places[np.isclose(uvs[:, 0], 0.5), :2], (0, -0.5))
    assert np.allclose(places[np.isclose(uvs[:, 0], 0.75), :2], (0.5, 0))
    assert np.allclose(places[np.isclose(uvs[:, 1], 0), 2], 2)  # the image's top is up


def test_surface_points_lie_on_the_surface_in_its_colours():
    red, blue = plain((255, 0, 0)), plain((0, 0, 255))
    mesh = merged(box((1, 1, 1), red), box((1, 1, 1), blue).moved((5, 0, 0)))
    assert mesh.areas().sum() == pytest.approx(12)
    points, colours = surface_points(mesh, 2000, np.random.default_rng(0))
    right = points[:, 0] > 2.5
    assert 0.45 < right.mean() < 0.55
    assert (colours[right] == (0, 0, 255)).all()
    assert (colours[~right] == (255, 0, 0)).all()
    local = points - np.where(right, 5, 0)[:, None] * [1, 0, 0] - [0, 0, 0.5]
    assert np.allclose(np.abs(local).max(axis=1), 0.5)


def test_atlas_filters_to_the_pixel_size():
    rng = np.random.default_rng(0)
    noise = Surface(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    atlas = TextureAtlas([GREY, noise])
    uvs = rng.uniform(-2, 2, (500, 2))
    grey = atlas.sample(np.zeros(500, int), uvs, np.full(500, 1.0))
    assert np.allclose(grey, (128 / 255) ** 2.2, atol=1e-6)
    spreads = [
        atlas.sample(np.ones(500, int), uvs, np.full(500, size)).std() for size in (1.0, 4.0, 16.0, 32.0)
    ]
    assert (np.diff(spreads) < 0).all()
    middles = (np.arange(64) + 0.5) / 64
    exact = atlas.sample(np.ones(64, int), np.stack([middles, np.full(64, 0.5 / 64)], axis=1), np.ones(64))
    assert np.allclose(exact, (noise.image[0] / 255) ** 2.2, atol=1e-3)


def test_calibration_scales_with_the_frame():
    full, quarter = scaled_calibration(1920, 1080), scaled_calibration(480, 270)
    assert full.fx == layout.CALIBRATION["fx"]
    assert (full.cx, full.cy) == pytest.approx((layout.CALIBRATION["cx"], layout.CALIBRATION["cy"]))
    assert quarter.fy == full.fy / 4
    assert ((quarter.cx + 0.5) * 4, (quarter.cy + 0.5) * 4) == pytest.approx((full.cx + 0.5, full.cy + 0.5))


coordinates = st.floats(-1, 1)


@given(
    st.tuples(coordinates, coordinates, st.floats(0.2, 1)),
    st.tuples(coordinates, coordinates),
    st.floats(-1, 1),
)
def test_camera_looks_at_its_target(eye, target, roll):
    assume(
        np.hypot(eye[0] - target[0], eye[1] - target[1]) > 0.05
    )  # a camera that looks straight down has no up
    target = (*target, 0.0)
    pose, calibration = look_at(eye, target, roll), scaled_calibration(480, 270)
    assert np.allclose(pose.rotation @ pose.rotation.T, np.eye(3))
    assert np.linalg.det(pose.rotation) == pytest.approx(1)
    assert np.allclose(pose.centre, eye)
    pixels, z = project(np.array([target]), pose, calibration)
    assert pixels[0] == pytest.approx((calibration.cx, calibration.cy))
    assert z[0] == pytest.approx(-np.linalg.norm(np.subtract(eye, target)))
    upright = look_at(eye, target)
    above = np.add(target, (0, 0, 0.01))
    assert project(above[None], upright, calibration)[0][0, 1] < calibration.cy  # rows run down


@given(st.integers(0, 2**32 - 1), st.sampled_from(layout.SCENES))
def test_reconstruction_sees_what_the_kitchen_sees(seed, scene):
    rng = np.random.default_rng(seed)
    scale, axes, origin = -layout.DEPTH_SCALES[scene], rotation_z(rng.uniform(0, 6)), rng.normal(size=3)
    calibration = scaled_calibration(480, 270)
    pose = look_at((0.3, -0.9, 0.4), (0, 0, 0.1), 0.1)
    world_pose = to_reconstruction(pose, scale, axes, origin)
    points = rng.uniform(-0.2, 0.2, (20, 3))
    world = scale * points @ axes.T + origin
    pixels, z = project(points, pose, calibration)
    assert np.allclose(project(world, world_pose, calibration)[0], pixels)
    back = back_project(pixels, -z, layout.DEPTH_SCALES[scene], world_pose, calibration)
    assert np.allclose(back, world)


def test_ray_caster_measures_depth_along_the_axis_and_finds_shadow():
    ball = revolution(
        [(0.1 * np.cos(a), 0.1 * np.sin(a)) for a in np.linspace(-np.pi / 2, np.pi / 2, 40)], GREY
    )
    caster, calibration = RayCaster(ball), scaled_calibration(96, 54)
    pose, pixels = look_at((0, -1, 0), (0, 0, 0)), pixel_grid(0, 0, 96, 54)
    hits = caster.cast(pose, calibration, pixels)
    seen = hits.triangle >= 0
    assert np.array_equal(seen, np.isfinite(hits.depth))
    points = pose.centre + ray_directions(pose, calibration, pixels)[seen] * hits.depth[seen, None]
    assert np.allclose(np.linalg.norm(points, axis=1), 0.1, atol=2e-3)
    assert np.allclose(project(points, pose, calibration)[1], -hits.depth[seen], atol=1e-5)
    assert caster.lit(np.array([[0.01, 0.02, 0.5], [0.01, 0.02, -0.5]]), np.array([0, 0, 2.0])).tolist() == [
        True,
        False,
    ]


def test_path_is_dense_and_ends_beside_the_products():
    path = camera_path(36, 2, np.random.default_rng(0))
    centres = np.array([pose.centre for pose in path[:-2]])
    assert np.linalg.norm(np.diff(centres, axis=0), axis=1).max() < 0.15
    products = np.array([[x, y, z] for x in (-0.7, 0.7) for y in (-0.25, 0.25) for z in (0, 0.3)])
    pixels = project(products, path[-1], scaled_calibration(480, 270))[0]
    outside = (pixels[:, 0] < 0) | (pixels[:, 0] > 480) | np.isnan(pixels[:, 0])
    assert outside.all()


def test_postures_are_dealt_evenly():
    decks = deal_postures(seed=5)
    for postures in decks.values():
        assert sum(posture.lying for posture in postures) == LYING_KITCHENS
    assert decks != deal_postures(seed=6)


def test_everything_is_placed_and_nothing_stands_in_another():
    kitchen = compose_kitchen(2, 0, np.random.default_rng(0))
    products = {thing.name for thing in kitchen.things if thing.is_product}
    assert len(products) == N_PRODUCTS
    assert len(kitchen.things) == N_PRODUCTS + N_CLUTTER
    for thing in kitchen.things:
        assert thing.mesh.corners[..., 2].min() == pytest.approx(0)
    middles = np.array([thing.mesh.corners[..., :2].mean(axis=(0, 1)) for thing in kitchen.things])
    gaps = np.linalg.norm(middles[:, None] - middles[None], axis=-1) + np.eye(len(middles))
    assert gaps.min() > 0.04


def test_depth_sensor_reads_a_wall_in_whole_millimetres():
    depth, facing = np.full((80, 80), 1.0), np.ones((80, 80))
    reading = sense(depth, facing, np.random.default_rng(0))
    assert reading.dtype == np.uint16
    seen = reading[reading > 0]
    assert 0.98 < seen.size / reading.size < 1
    assert seen.mean() == pytest.approx(1000, abs=0.5)
    far = sense(depth * 3, facing, np.random.default_rng(0))
    assert far[far > 0].std() > 3 * seen.std()


@pytest.mark.parametrize(
    ("depth", "facing"), [(NEAR_M - 0.1, 1.0), (FAR_M + 0.5, 1.0), (np.inf, 0.0), (1.0, 0.05)]
)
def test_depth_sensor_is_blind_out_of_range_and_at_grazing_angles(depth, facing):
    reading = sense(np.full((40, 40), depth), np.full((40, 40), facing), np.random.default_rng(0))
    assert not reading.any()


def test_depth_sensor_loses_readings_at_edges():
    depth = np.where(np.arange(80) < 40, 1.0, 1.5) * np.ones((80, 1))
    reading = sense(depth, np.ones_like(depth), np.random.default_rng(0))
    lost = (reading == 0).mean(axis=0)
    assert lost[39:41].mean() > 0.4
    assert np.delete(lost, [38, 39, 40, 41]).mean() < 0.02
