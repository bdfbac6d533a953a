import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_prep.common.validation_blocks import validation_mask


@given(st.integers(0, 500), st.floats(0, 0.9), st.integers(1, 6))
def test_blocks_are_contiguous_and_hold_the_share(n, share, blocks):
    mask = validation_mask(n, share, blocks)
    assert mask.shape == (n,)
    assert mask.sum() == round(n * share)
    starts = np.count_nonzero(np.diff(np.concatenate([[False], mask]).astype(int)) == 1)
    assert starts <= blocks


def test_blocks_are_apart_and_inside_the_sequence():
    mask = validation_mask(100, 0.2, 2)
    assert np.flatnonzero(mask).tolist() == [*range(20, 30), *range(70, 80)]
