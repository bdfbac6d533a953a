"""The renderer's parts: meshes, textures, placement, depth sensor."""

import numpy as np
import pytest

from data_prep.kitchen.gmu import layout
from data_prep.synthetic.kitchen.clutter import CLUTTER
from data_prep.synthetic.kitchen.depth_sensor import FAR_M, NEAR_M, sense
from data_prep.synthetic.kitchen.kitchen_scene import (
    LYING_KITCHENS,
    N_CLUTTER,
    N_PRODUCTS,
    compose_kitchen,
    deal_postures,
)
from data_prep.synthetic.kitchen.meshes import Surface
from data_prep.synthetic.kitchen.products import product
from data_prep.synthetic.kitchen.textures import TextureAtlas


@pytest.mark.parametrize("name", layout.INSTANCES)
def test_products_are_sound_meshes(name):
    mesh = product(name)
    assert np.allclose(np.linalg.norm(mesh.normals, axis=-1), 1)
    edges = mesh.corners[:, 1:] - mesh.corners[:, :1]
    outward = np.cross(edges[:, 0], edges[:, 1])
    assert (np.einsum("tc,tkc->tk", outward, mesh.normals) > 0).all()  # wound the way they face
    width, depth, height = np.ptp(mesh.corners, axis=(0, 1))
    assert 0.02 < depth <= width + 1e-6 < 0.25
    assert 0.1 < height < 0.32
    assert mesh.corners[..., 2].min() == pytest.approx(0)


def test_atlas_filters_to_the_pixel_size():
    rng = np.random.default_rng(0)
    noise = Surface(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    atlas = TextureAtlas([noise])
    uvs, ids = rng.uniform(-2, 2, (500, 2)), np.zeros(500, int)
    spreads = [atlas.sample(ids, uvs, np.full(500, size)).std() for size in (1.0, 4.0, 16.0, 32.0)]
    assert (np.diff(spreads) < 0).all()
    middles = (np.arange(64) + 0.5) / 64
    exact = atlas.sample(ids[:64], np.stack([middles, np.full(64, 0.5 / 64)], axis=1), np.ones(64))
    assert np.allclose(exact, (noise.image[0] / 255) ** 2.2, atol=1e-3)


def test_postures_are_dealt_evenly():
    decks = deal_postures(seed=5)
    for postures in decks.values():
        assert sum(posture.lying for posture in postures) == LYING_KITCHENS
    assert decks != deal_postures(seed=6)


def test_everything_is_placed_and_nothing_stands_in_another():
    kitchen = compose_kitchen(2, 0, np.random.default_rng(0))
    names = [thing.name for thing in kitchen.things]
    assert len(set(names[:N_PRODUCTS]) & set(layout.INSTANCES)) == N_PRODUCTS
    assert len(set(names[N_PRODUCTS:]) & set(CLUTTER)) == N_CLUTTER
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
