"""RandAugment against torchvision's functions, image by image."""

import math

import pytest
import torch
from scipy.stats import chisquare
from torch import Generator
from torchvision.transforms.v2 import RandAugment
from torchvision.transforms.v2 import functional as tv

from cld.augment import randaugment
from cld.augment.randaugment import (
    MAX_MAGNITUDE,
    OPERATIONS,
    apply_operations,
    draw_operations,
    rand_augment,
)

SIZE = 24
QUANTISED = ("posterize", "solarize", "equalize")  # torchvision's means integers by these
# None at which a source point lies halfway between two pixels, where rounding decides.
MAGNITUDES = (0, 3, 9, 17, MAX_MAGNITUDE)


def rng(seed=0):
    return Generator().manual_seed(seed)


def pictures(n=12, size=SIZE, seed=0):
    """uint8 (n, 3, size, size): noise, few levels, one level, a narrow range, smooth gradients."""
    images = torch.randint(0, 256, (n, 3, size, size), generator=rng(seed), dtype=torch.uint8)
    images[1] = images[1] // 64 * 64
    images[2] = 77
    images[3] = images[3] // 4 + 90
    images[4] = torch.arange(size)[:, None] * 255 // (size - 1)
    return images


def torchvisions(image, name, level):
    """What torchvision's RandAugment calls for an operation at a level, a share of the strongest one."""
    slope, shift = math.degrees(math.atan(0.3 * level)), int(150 / 331 * image.shape[-1] * level)
    calls = {
        "identity": lambda: image,
        "shear_x": lambda: tv.affine(image, 0.0, [0, 0], 1.0, [slope, 0.0], center=[0, 0]),
        "shear_y": lambda: tv.affine(image, 0.0, [0, 0], 1.0, [0.0, slope], center=[0, 0]),
        "translate_x": lambda: tv.affine(image, 0.0, [shift, 0], 1.0, [0.0, 0.0]),
        "translate_y": lambda: tv.affine(image, 0.0, [0, shift], 1.0, [0.0, 0.0]),
        "rotate": lambda: tv.rotate(image, 30 * level),
        "brightness": lambda: tv.adjust_brightness(image, 1 + 0.9 * level),
        "colour": lambda: tv.adjust_saturation(image, 1 + 0.9 * level),
        "contrast": lambda: tv.adjust_contrast(image, 1 + 0.9 * level),
        "sharpness": lambda: tv.adjust_sharpness(image, 1 + 0.9 * level),
        "posterize": lambda: tv.posterize(image, round(8 - 4 * abs(level))),
        "solarize": lambda: tv.solarize(image, 255 * (1 - abs(level))),
        "autocontrast": lambda: tv.autocontrast(image),
        "equalize": lambda: tv.equalize(image),
    }
    return calls[name]()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("magnitude", MAGNITUDES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_torchvisions(name, magnitude, sign):
    images = pictures()
    level = sign * magnitude / MAX_MAGNITUDE
    ours = OPERATIONS[name](images / 255, level)
    for image, view in zip(images, ours, strict=True):
        if name in QUANTISED:
            expected = torchvisions(image, name, level) / 255
        else:
            expected = torchvisions(image / 255, name, level)
        torch.testing.assert_close(view, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [8, 9, 31, 32])
@pytest.mark.parametrize("name", ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"])
def test_geometric_operations_at_odd_and_even_sizes(name, size):
    images = pictures(6, size) / 255
    for sign in (1, -1):
        ours = OPERATIONS[name](images.clone(), sign * 0.3)
        expected = torch.stack([torchvisions(image, name, sign * 0.3) for image in images])
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


def test_what_moves_in_is_black():
    white = torch.ones(1, 3, SIZE, SIZE)
    moved = OPERATIONS["translate_x"](white, 1.0)
    shift = int(150 / 331 * SIZE)
    assert not moved[..., :shift].any()
    assert moved[..., shift:].eq(1).all()


@pytest.mark.parametrize("magnitude", range(0, MAX_MAGNITUDE + 1, 2))
def test_a_level_that_is_the_solarize_threshold_itself_is_inverted(magnitude):
    levels = torch.arange(256)
    expected = torch.where(levels >= 255 - 255 * magnitude // MAX_MAGNITUDE, 255 - levels, levels) / 255
    image = (levels / 255).view(1, 1, 16, 16)
    view = OPERATIONS["solarize"](image, magnitude / MAX_MAGNITUDE)
    torch.testing.assert_close(view.flatten(), expected)


@pytest.mark.parametrize("large", [0, 10**6])  # one at a time, and together
def test_each_sample_has_its_own_operations_whatever_its_batch(large, monkeypatch):
    monkeypatch.setattr(randaugment, "LARGE", large)
    images = torch.rand(40, 3, SIZE, SIZE, generator=rng())
    drawn = draw_operations(40, 2, rng())
    together = apply_operations(images, drawn, 9)
    for image, operations, view in zip(images, drawn.tolist(), together, strict=True):
        expected = image[None].clone()
        for operation in operations:
            change = list(OPERATIONS.values())[operation // 2]
            expected = change(expected, 0.3 if operation % 2 else -0.3)
        torch.testing.assert_close(view, expected[0], rtol=0, atol=1e-6)


def test_every_operation_stays_in_the_range():
    images = torch.rand(8, 3, SIZE, SIZE, generator=rng())
    for name, change in OPERATIONS.items():
        for level in (-1.0, 1.0):
            view = change(images.clone(), level)
            assert view.min() >= 0 and view.max() <= 1, name


def test_operations_and_directions_are_drawn_alike_and_independently():
    n, n_both = 7000, 2 * len(OPERATIONS)
    drawn = draw_operations(n, 2, rng())
    assert drawn.shape == (n, 2)
    pairs = torch.bincount(n_both * drawn[:, 0] + drawn[:, 1], minlength=n_both**2)
    assert chisquare(pairs).pvalue > 1e-3


def test_same_generator_state_same_views():
    images = pictures() / 255
    before = images.clone()
    first, again, other = (rand_augment(images, 2, 9, rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)
    assert torch.equal(rand_augment(images, 0, 9, rng()), images)


@pytest.mark.parametrize("n", [1, 2])
def test_batches_in_which_most_operations_are_drawn_by_none(n):
    images = pictures()[:n] / 255
    for seed in range(10):
        assert rand_augment(images, 2, 9, rng(seed)).shape == images.shape


def test_the_distribution_of_views_is_torchvisions():
    image = pictures()[3]
    transform = RandAugment()
    torch.manual_seed(0)
    theirs = torch.stack([transform(image) / 255 for _ in range(1500)]).mean(dim=(1, 2, 3))
    ours = rand_augment((image / 255).expand(6000, -1, -1, -1), 2, 9, rng()).mean(dim=(1, 2, 3))
    error = math.sqrt(theirs.var().item() / 1500 + ours.var().item() / 6000)
    assert ours.mean().item() == pytest.approx(theirs.mean().item(), abs=3 * error)
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.1)


def test_an_image_of_one_level_is_not_equalized_nor_stretched():
    grey = torch.full((1, 3, SIZE, SIZE), 77 / 255)
    torch.testing.assert_close(OPERATIONS["equalize"](grey.clone(), 0.3), grey)
    assert torch.equal(OPERATIONS["autocontrast"](grey.clone(), 0.3), grey)
    torch.testing.assert_close(tv.equalize(grey), grey)
