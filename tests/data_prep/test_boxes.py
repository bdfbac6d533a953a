import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from data_prep.common.boxes import Box, clip, crop_region, from_voc, iou

edges = st.floats(-300, 900)


@st.composite
def boxes(draw):
    left, top = draw(edges), draw(edges)
    return Box(left, top, left + draw(st.floats(0.5, 700)), top + draw(st.floats(0.5, 700)))


def holds(outer: Box, inner: Box, slack: float = 1e-6) -> bool:
    return (
        outer.left <= inner.left + slack
        and outer.top <= inner.top + slack
        and outer.right >= inner.right - slack
        and outer.bottom >= inner.bottom - slack
    )


def test_voc_coordinates_are_one_based_and_inclusive():
    box = from_voc(1, 1, 10, 5)
    assert box == Box(0, 0, 10, 5)
    assert (box.width, box.height, box.area) == (10, 5, 50)


@given(
    boxes(),
    st.integers(16, 640),
    st.integers(16, 480),
    st.floats(0, 1),
    st.sampled_from(["stretch", "square"]),
)
def test_crop_region_is_in_the_frame_and_holds_the_box(box, width, height, context, fit):
    inside = clip(box, width, height)
    assume(inside.width > 0.1 and inside.height > 0.1)
    region = crop_region(box, width, height, context, fit)
    assert holds(Box(0, 0, width, height), region, slack=0)
    assert holds(region, inside)


@given(boxes(), st.integers(200, 640), st.integers(200, 480))
def test_square_crops_keep_proportions_where_the_frame_is_large_enough(box, width, height):
    inside = clip(box, width, height)
    side = max(inside.width, inside.height)
    assume(min(inside.width, inside.height) > 0.1 and side <= min(width, height))
    region = crop_region(box, width, height, 0.0, "square")
    assert region.width == pytest.approx(side, abs=1e-6)
    assert region.height == pytest.approx(side, abs=1e-6)


def test_context_adds_a_share_of_each_side():
    region = crop_region(Box(40, 40, 60, 80), 200, 200, 0.25, "stretch")
    assert region == Box(35, 30, 65, 90)


def test_iou_of_known_boxes():
    assert iou(Box(0, 0, 10, 10), Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert iou(Box(0, 0, 10, 10), Box(10, 0, 20, 10)) == 0
