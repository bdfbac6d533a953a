import os

import pytest

from cld.runtime.errors import InputError
from data_prep.common.parallel import ordered_map


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_jobs_order(workers):
    assert list(ordered_map(abs, list(range(-40, 0)), workers)) == list(range(40, 0, -1))


def test_no_jobs_are_no_results():
    assert list(ordered_map(abs, [], 4)) == []


def test_a_worker_that_dies_is_an_input_error():
    with pytest.raises(InputError, match=r"a worker process died.*fewer than 2 workers"):
        list(ordered_map(os._exit, [1] * 20, 2))
