"""The renderer's parts: meshes, prints, placement, depth sensor."""

import numpy as np
import pytest

from data_prep.kitchen.gmu import layout
from data_prep.synthetic.kitchen.depth_sensor import FAR_M, NEAR_M, sense
from data_prep.synthetic.kitchen.kitchen_scene import (
    LYING_KITCHENS,
    N_OTHERS,
    N_PRODUCTS,
    compose_kitchen,
    deal_postures,
)
from data_prep.synthetic.kitchen.packages import PRODUCTS, other_brand, package_mesh


def assert_sound(mesh, widest):
    middle = mesh.corners.mean(axis=(0, 1))
    outward = np.einsum("tc,tc->t", mesh.cross_products(), mesh.corners.mean(axis=1) - middle)
    assert (outward > 0).mean() > 0.9  # necks of bottles look back at the middle
    edges = (
        np.sort(mesh.corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2, 3), axis=1).round(6).reshape(-1, 6)
    )
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()  # closed
    width, depth, height = np.ptp(mesh.corners, axis=(0, 1))
    assert 0.02 < depth <= width + 1e-6 < widest
    assert 0.07 < height < 0.32
    assert mesh.corners[..., 2].min() == pytest.approx(0)


@pytest.mark.parametrize("name", layout.INSTANCES)
def test_products_are_closed_meshes_that_face_outward(name):
    assert_sound(package_mesh(PRODUCTS[name]), 0.25)


def test_other_brands_are_closed_meshes_and_none_is_like_another():
    rng = np.random.default_rng(0)
    packages = [other_brand(rng) for _ in range(30)]
    for package in packages:
        assert_sound(package_mesh(package), 0.13)
    assert len({(package.ground, package.ink, package.band) for package in packages}) == 30


def test_prints_of_products_differ():
    """By colours and pattern: the mean colour of cells of the front tells any two products apart."""
    prints = [package_mesh(PRODUCTS[name]).images[0].astype(float) for name in layout.INSTANCES]
    means = np.array([[part.mean(axis=(0, 1)) for part in np.array_split(image, 3)] for image in prints])
    gaps = np.abs(means[:, None] - means[None]).max(axis=(2, 3)) + 255 * np.eye(len(prints))
    assert gaps.min() > 20


def test_postures_are_dealt_evenly():
    decks = deal_postures(seed=5)
    for postures in decks.values():
        assert sum(posture.lying for posture in postures) == LYING_KITCHENS
    assert decks != deal_postures(seed=6)


def test_everything_is_placed_and_nothing_stands_in_another():
    kitchen = compose_kitchen(2, 0, np.random.default_rng(0))
    names = [thing.name for thing in kitchen.things]
    assert len(set(names[:N_PRODUCTS]) & set(layout.INSTANCES)) == N_PRODUCTS
    assert len(set(names[N_PRODUCTS:])) == N_OTHERS
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
