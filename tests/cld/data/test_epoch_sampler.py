"""Which images each step shows: whole epochs, from any step, shared out among processes."""

from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cld.data import epoch_sampler
from cld.data.epoch_sampler import EpochSampler, rank_slice

SIZES = (st.integers(1, 300), st.integers(1, 64))


@given(st.integers(0, 2**31), st.integers(0, 1000), *SIZES)
def test_an_epoch_shows_each_image_at_most_once_and_leaves_out_less_than_a_batch(seed, epoch, n, batch):
    batches = EpochSampler(seed, n, batch).epoch_batches(epoch)
    shown = [image for index in batches for image in index.tolist()]
    assert [len(index) for index in batches] == [batch] * (n // batch)
    assert len(set(shown)) == len(shown) > n - batch
    assert set(shown) <= set(range(n))


@given(st.integers(0, 2**31), st.integers(0, 1000), *SIZES)
def test_equal_batches_show_every_image_once(seed, epoch, n, batch):
    sampler = EpochSampler(seed, n, batch, equal_batches=True)
    batches = sampler.epoch_batches(epoch)
    sizes = {len(index) for index in batches}
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    assert len(batches) == sampler.steps_per_epoch
    assert sampler.smallest_batch == min(sizes) >= max(sizes) - 1 and max(sizes) <= batch


def test_epochs_seeds_and_streams_differ_in_order():
    orders = {
        tuple(torch.cat(EpochSampler(seed, 50, 10, stream=stream).epoch_batches(epoch)).tolist())
        for seed in range(2)
        for epoch in range(2)
        for stream in (1, 18)
    }
    assert len(orders) == 8


@pytest.mark.parametrize("equal_batches", [False, True])
def test_steps_begin_and_stop_anywhere(equal_batches):
    facts = {"seed": 3, "n_images": 25, "batch_size": 4, "equal_batches": equal_batches}
    endless = EpochSampler(**facts)
    whole = list(islice(endless, 21))
    epochs = torch.cat([torch.cat(endless.epoch_batches(epoch)) for epoch in range(4)])
    shown = torch.cat([index for _, index in whole])
    assert torch.equal(shown, epochs[: len(shown)])
    for first in (0, 1, 6, 17, 20):
        for stop in (first, first + 1, 20):
            part = list(EpochSampler(**facts, first=first, stop=stop))
            assert [step for step, _ in part] == list(range(first, stop))
            assert all(torch.equal(a, b) for (_, a), (_, b) in zip(part, whole[first:stop], strict=True))


@pytest.mark.parametrize(("n", "sizes"), [(8, [3, 3, 2]), (9, [3, 3, 3]), (2, [1, 1, 0])])
def test_processes_share_a_batch(monkeypatch, n, sizes):
    monkeypatch.setattr(epoch_sampler, "world_size", lambda: 3)
    slices = []
    for rank in range(3):
        monkeypatch.setattr(epoch_sampler, "rank", lambda rank=rank: rank)
        slices.append(list(range(n))[rank_slice(n)])
    assert [len(part) for part in slices] == sizes
    assert [image for part in slices for image in part] == list(range(n))
