"""Drawing: outlines, surfaces, looks, pictures and scenes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.synthetic.pictures.class_looks import class_looks
from data_prep.synthetic.pictures.drawing import draw_picture, draw_scene
from data_prep.synthetic.pictures.random_numbers import balanced_labels
from data_prep.synthetic.pictures.silhouettes import SILHOUETTES
from data_prep.synthetic.pictures.surfaces import SURFACES

LOOKS = class_looks(20, 0)


def grid(n: int, reach: float = 1.4):
    axis = np.linspace(-reach, reach, n, dtype=np.float32)
    return np.meshgrid(axis, axis)


@pytest.mark.parametrize("name", SILHOUETTES)
def test_silhouettes_fill_their_circle_and_no_more(name):
    x, y = grid(141)
    distance = SILHOUETTES[name](x, y)
    assert distance.dtype == np.float32
    inside = distance < 0
    assert 0.2 < inside.mean() * 2.8**2 < np.pi  # areas, of a circle of radius 1
    assert np.hypot(x, y)[inside].max() < 1.25
    for edge in (distance[0], distance[-1], distance[:, 0], distance[:, -1]):
        assert edge.min() > 0
    # about distances near the outline
    down, across = np.gradient(distance, 2.8 / 140)
    slope = np.hypot(down, across)[abs(distance) < 0.1]
    assert np.percentile(slope, 99) < 2.3  # where petals meet
    assert np.median(slope) > 0.6


@pytest.mark.parametrize("name", SURFACES)
def test_surfaces_show_both_colours(name):
    x, y = grid(100, 0.8)
    shares = [np.mean(SURFACES[name](x, y, 0.02, np.random.default_rng(seed))) for seed in range(20)]
    assert 0.1 < np.mean(shares) < 0.9
    mix = SURFACES[name](x, y, 0.02, np.random.default_rng(0))
    assert mix.min() >= -1e-6
    assert mix.max() <= 1 + 1e-6
    assert mix.std() > 0.2


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 100), per_silhouette=st.sampled_from([1, 5, 10]))
def test_looks_differ_and_do_not_depend_on_how_many_there_are(seed, n, per_silhouette):
    n = min(n, per_silhouette * len(SILHOUETTES))
    looks = class_looks(n, seed, per_silhouette)
    assert len({look.name for look in looks}) == n
    assert looks == class_looks(per_silhouette * len(SILHOUETTES), seed, per_silhouette)[:n]
    for first in range(0, n, per_silhouette):
        assert len({look.silhouette for look in looks[first : first + per_silhouette]}) == 1


@given(n=st.integers(1, 300), n_classes=st.integers(1, 40), seed=st.integers(0, 99))
def test_labels_are_balanced(n, n_classes, seed):
    counts = np.bincount(balanced_labels(n, n_classes, seed, 0), minlength=n_classes)
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1


@given(
    width=st.integers(8, 140), height=st.integers(8, 140), seed=st.integers(0, 10**6), look=st.integers(0, 19)
)
def test_pictures_of_any_size(width, height, seed, look):
    picture = draw_picture(LOOKS[look], width, height, np.random.default_rng(seed))
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 1
    assert np.array_equal(picture, draw_picture(LOOKS[look], width, height, np.random.default_rng(seed)))


def test_boxes_of_a_scene_hold_what_is_seen():
    n_truncated = n_occluded = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 20, 4).tolist()
        picture, objects = draw_scene(LOOKS, labels, 200, 150, rng)
        assert picture.shape == (150, 200, 3)
        assert len(objects) <= 4
        for drawn in objects:
            left, top, right, bottom = drawn.box
            assert 0 <= left < right <= 200
            assert 0 <= top < bottom <= 150
            assert drawn.label in labels
            assert 0 < drawn.visible <= 1
            assert 0 < drawn.inside <= 1
            touches = left == 0 or top == 0 or right == 200 or bottom == 150
            assert touches or drawn.inside == 1 or drawn.visible < 1
            n_truncated += drawn.inside < 0.95
            n_occluded += drawn.visible < 0.95
    assert n_truncated > 3
    assert n_occluded > 3
