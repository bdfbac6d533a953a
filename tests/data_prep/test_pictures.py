"""Drawing: looks, pictures and scenes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.synthetic.pictures.class_looks import OUTLINES, PATTERNS, class_looks
from data_prep.synthetic.pictures.drawing import draw_picture, draw_scene

LOOKS = class_looks(20, 0)


@pytest.mark.parametrize("name", OUTLINES)
def test_outlines_fill_their_circle_and_no_more(name):
    x, y = OUTLINES[name].T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert 0.2 < area / np.pi < 1
    assert np.hypot(x, y).max() < 1.25


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_show_both_colours(name):
    axis = np.linspace(-0.8, 0.8, 100)
    assert 0.1 < PATTERNS[name](*np.meshgrid(axis, axis)).mean() < 0.9


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 100), per_outline=st.sampled_from([1, 5, 7]))
def test_looks_differ_and_do_not_depend_on_how_many_there_are(seed, n, per_outline):
    n = min(n, per_outline * len(OUTLINES))
    looks = class_looks(n, seed, per_outline)
    assert len({look.name for look in looks}) == n
    assert looks == class_looks(per_outline * len(OUTLINES), seed, per_outline)[:n]
    for first in range(0, n, per_outline):
        assert len({look.outline for look in looks[first : first + per_outline]}) == 1


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
            assert touches or drawn.inside > 0.95 or drawn.visible < 1
            n_truncated += drawn.inside < 0.95
            n_occluded += drawn.visible < 0.95
    assert n_truncated > 3
    assert n_occluded > 3
