"""Jigsaw patches against an obvious loop."""

import pytest
import torch
from scipy.stats import chisquare
from torch import Generator

from cld.augment.jigsaw import jigsaw_patches, patch_size


def rng(seed=0):
    return Generator().manual_seed(seed)


def numbered(n, size):
    """Images whose every pixel tells where it is: channels are image, row and column."""
    grid = torch.meshgrid(*(torch.arange(float(end)) for end in (n, size, size)), indexing="ij")
    return torch.stack(grid, dim=1)


def cut(image, cell, patch, row, column):
    """The patch that starts at (row, column) of the cell."""
    side = image.shape[-1] // 3
    top, left = cell // 3 * side + row, cell % 3 * side + column
    return image[:, top : top + patch, left : left + patch]


@pytest.mark.parametrize(("size", "patch"), [(255, 64), (224, 56), (32, 8), (9, 2), (8, 2), (3, 1)])
def test_patch_size_is_64_of_85_pixels(size, patch):
    assert patch_size(size) == patch


@pytest.mark.parametrize(("size", "patch"), [(30, 8), (32, 8), (9, 3), (9, 1), (8, 2)])
def test_patches_are_those_of_a_loop(size, patch):
    images = numbered(6, size)
    patches = jigsaw_patches(images, patch, rng()).view(6, 9, 3, patch, patch)
    side = size // 3
    for image, nine in zip(images, patches, strict=True):
        cells = []
        for view in nine:
            _, top, left = view[:, 0, 0].int().tolist()
            cells.append(top // side * 3 + left // side)
            torch.testing.assert_close(view, cut(image, cells[-1], patch, top % side, left % side))
            assert top % side + patch <= side and left % side + patch <= side  # within its cell
        assert sorted(cells) == list(range(9))


def test_places_and_orders_are_uniform_and_each_images_own():
    n, patch, side = 3000, 2, 4
    starts = jigsaw_patches(numbered(n, 3 * side), patch, rng()).view(n, 9, 3, patch, patch)[..., 0, 0].int()
    cells = starts[..., 1] // side * 3 + starts[..., 2] // side  # n, 9
    for place in range(9):
        assert chisquare(cells[:, place].bincount(minlength=9)).pvalue > 1e-4
    assert len(cells.unique(dim=0)) > 0.98 * n  # of 362,880 orders
    corners = (starts[..., 1] % side * side + starts[..., 2] % side).flatten().bincount(minlength=side**2)
    drawn = corners[corners > 0]
    assert len(drawn) == (side - patch + 1) ** 2
    assert chisquare(drawn).pvalue > 1e-4


def test_same_generator_state_same_patches():
    images = torch.rand(4, 3, 32, 32, generator=rng())
    first, again, other = (jigsaw_patches(images, 8, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.is_contiguous()
