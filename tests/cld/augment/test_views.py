import colorsys
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import ks_2samp, kstest
from torch import Generator
from torchvision import transforms
from torchvision.transforms.v2 import functional as tv

from cld.augment.colour import HUE, NEUTRAL, colour_jitter_, luma, shift_hue_, solarize
from cld.augment.views import (
    Augment,
    gaussian_blur,
    normalise,
    resized_crop,
    sample_crops,
)

PLAIN = {  # every operation off
    "crop_scale": [1.0, 1.0],
    "flip_p": 0.0,
    "jitter": [0.0, 0.0, 0.0, 0.0],
    "jitter_p": 1.0,
    "grayscale_p": 0.0,
    "blur_p": 0.0,
    "blur_sigma": [0.1, 2.0],
    "solarize_p": 0.0,
    "erasing_p": 0.0,
    "randaugment": {"n_ops": 0, "magnitude": 9},
}
MOCO = PLAIN | {"crop_scale": [0.2, 1.0], "flip_p": 0.5, "jitter": [0.4] * 4, "grayscale_p": 0.2}
ALPHA = 1e-3  # of tests of distributions; their seeds are fixed


COLOUR_STATISTICS = {
    "mean": lambda v: v.mean(dim=(1, 2, 3)),
    "red": lambda v: v[:, 0].mean(dim=(1, 2)),
    "contrast": lambda v: v.mean(dim=1).std(dim=(1, 2)),
    "saturation": lambda v: (v.amax(dim=1) - v.amin(dim=1)).mean(dim=(1, 2)).round(decimals=2),
}


def rng(seed=0):
    return Generator().manual_seed(seed)


def pixels(*shape, seed=0):
    return torch.randint(0, 256, (*shape, 3), generator=rng(seed), dtype=torch.uint8)


def floats(n, size, seed=0):
    """Images in [0, 1], some with few levels, so that channels tie and saturate."""
    images = torch.rand(n, 3, size, size, generator=rng(seed))
    images[: n // 4] = (images[: n // 4] * 3).round() / 3
    return images


def views(settings, images, seed=0, size=None):
    """Views before normalisation."""
    return Augment(settings, size or images.shape[1], [0.0] * 3, [1.0] * 3)(images, rng(seed))


def constant(red, green, blue, n=4000):
    return torch.tensor([red, green, blue], dtype=torch.uint8).expand(n, 8, 8, 3)


# Each operation against torchvision's, with the same parameters.

ADJUST = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)


@pytest.mark.parametrize("column", range(4), ids=["brightness", "contrast", "saturation", "hue"])
@pytest.mark.parametrize("strength", [-1.0, -0.6, 0.0, 0.3, 0.9])
def test_each_colour_operation_is_torchvisions(column, strength):
    images = floats(16, 9)
    factor = strength / 2 if column == HUE else 1 + strength
    factors = torch.tensor([NEUTRAL]).repeat(16, 1)
    factors[:, column] = factor
    order = torch.rand(16, 4, generator=rng()).argsort(dim=1)
    expected = ADJUST[column](images, factor)
    torch.testing.assert_close(colour_jitter_(images.clone(), factors, order), expected, rtol=0, atol=1e-5)


def test_each_sample_has_its_own_factors_and_order():
    orders = torch.tensor(list(itertools.permutations(range(4))))  # all 24 in one batch
    images = floats(24, 9)
    factors = torch.rand(24, 4, generator=rng(1)) * 0.8 + torch.tensor([0.6, 0.6, 0.6, -0.4])
    expected = images.clone()
    for i, order in enumerate(orders.tolist()):
        for column in order:
            expected[i] = ADJUST[column](expected[i], factors[i, column].item())
    torch.testing.assert_close(colour_jitter_(images.clone(), factors, orders), expected, rtol=0, atol=1e-4)


def test_hue_shifts_of_a_full_turn_change_nothing():
    images = floats(6, 5)
    shifted = shift_hue_(images.clone(), torch.tensor([-1.0, 1.0, 0.0] * 2))
    torch.testing.assert_close(shifted, images, rtol=0, atol=1e-5)


def test_grey_is_torchvisions():
    images = floats(4, 9)
    torch.testing.assert_close(luma(images).expand(-1, 3, -1, -1), tv.rgb_to_grayscale(images, 3))


@pytest.mark.parametrize("size", [7, 16, 24, 40])
def test_resized_crop_and_flip_are_torchvisions(size):
    images = pixels(32, 20, 30)  # sizes below and above: shrunk and enlarged, antialiased
    crops, flip = sample_crops(32, 20, 30, (0.08, 1.0), rng()), torch.arange(32) % 2 == 0
    ours = resized_crop(images, crops, flip, size)
    for image, crop, mirrored, view in zip(images, crops.int().tolist(), flip, ours, strict=True):
        expected = tv.resized_crop(image.permute(2, 0, 1) / 255, *crop, [size, size], antialias=True)
        expected = tv.horizontal_flip(expected) if mirrored else expected
        torch.testing.assert_close(view, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("radius", [1, 4, 8])
def test_blur_is_torchvisions(radius):
    images, sigma = floats(8, 9), torch.linspace(0.1, 2.5, 8)
    blurred = gaussian_blur(images, sigma, radius)
    for image, one, view in zip(images, sigma.tolist(), blurred, strict=True):
        expected = tv.gaussian_blur(image, [2 * radius + 1] * 2, [one] * 2)
        torch.testing.assert_close(view, expected, rtol=0, atol=1e-5)


def test_blur_reaches_three_of_the_largest_sigmas():
    dot = torch.zeros(1, 31, 31, 3, dtype=torch.uint8)
    dot[0, 15, 15] = 255
    blurred = views(PLAIN | {"blur_p": 1.0, "blur_sigma": [2.0, 2.0]}, dot)
    reach = (blurred[0, 0, 15] > 0).nonzero()[:, 0]
    assert (reach.min(), reach.max()) == (9, 21)


def test_normalise_is_torchvisions():
    images, mean, std = pixels(3, 6, 8), [0.1, 0.5, 0.9], [0.2, 0.3, 0.4]
    expected = tv.normalize(images.permute(0, 3, 1, 2) / 255, mean, std)
    torch.testing.assert_close(normalise(images, mean, std), expected, rtol=0, atol=1e-6)
    plain = Augment(PLAIN, 6, mean, std)(images[:, :, :6], rng())
    torch.testing.assert_close(plain, expected[:, :, :, :6], rtol=0, atol=1e-5)


# The distributions of the parameters.


@pytest.mark.parametrize(
    ("height", "width", "scale"),
    [(32, 32, (0.2, 1.0)), (48, 80, (0.08, 1.0)), (20, 60, (0.3, 0.9)), (90, 30, (0.1, 1.0))],
)
def test_crops_are_distributed_as_torchvisions(height, width, scale):
    n = 3000
    crops = sample_crops(n, height, width, scale, rng()).int()
    top, left, h, w = crops.T
    assert (top >= 0).all() and (left >= 0).all() and (h >= 1).all() and (w >= 1).all()
    assert (top + h <= height).all() and (left + w <= width).all()
    torch.manual_seed(0)
    image, sample = torch.empty(3, height, width), transforms.RandomResizedCrop.get_params
    theirs = torch.tensor([sample(image, list(scale), [3 / 4, 4 / 3]) for _ in range(n)])
    for mine, other in zip(summaries(crops, height, width), summaries(theirs, height, width), strict=True):
        assert ks_2samp(mine, other).pvalue > ALPHA


def summaries(crops, height, width):
    top, left, h, w = crops.double().T
    return h * w, w / h, h, top, left, top / (height - h + 1), left / (width - w + 1)


@pytest.mark.parametrize(
    ("height", "width", "crop"),
    [(10, 100, [0, 43, 10, 13]), (100, 10, [43, 0, 13, 10]), (30, 30, [0, 0, 30, 30])],
)
def test_without_a_crop_that_fits_the_central_one_is_taken(height, width, crop):
    crops = sample_crops(50, height, width, (1.0, 1.0), rng())
    assert crops.unique(dim=0).tolist() == [crop]
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    assert list(transforms.RandomResizedCrop.get_params(image, [1.0, 1.0], [3 / 4, 4 / 3])) == crop


@pytest.mark.parametrize(("strength", "grey", "start", "width"), [(0.4, 102, 0.6, 0.8), (3.0, 51, 0.0, 4.0)])
def test_brightness_factors_are_uniform_and_stop_at_zero(strength, grey, start, width):
    out = views(PLAIN | {"jitter": [strength, 0, 0, 0]}, constant(grey, grey, grey))[:, 0, 0, 0]
    assert kstest(out / (grey / 255), "uniform", (start, width)).pvalue > ALPHA


def test_hue_shifts_are_uniform():
    out = views(PLAIN | {"jitter": [0, 0, 0, 0.4]}, constant(60, 180, 180))[:, :, 0, 0]
    hues = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in out.tolist()]  # cyan is 0.5
    assert kstest(hues, "uniform", (0.1, 0.8)).pvalue > ALPHA


def test_orders_of_the_colour_operations_are_distributed_as_torchvisions():
    # Strong enough for clamping to make the order matter.
    n, jitter = 4000, [0.9, 0.9, 0.9, 0.5]
    image = pixels(4, 4, seed=3)
    torch.manual_seed(0)
    colour_jitter = transforms.ColorJitter(*jitter)
    theirs = torch.stack([colour_jitter(image.permute(2, 0, 1) / 255) for _ in range(n)])
    ours = views(PLAIN | {"jitter": jitter}, image.expand(n, 4, 4, 3))
    for name, statistic in COLOUR_STATISTICS.items():
        assert ks_2samp(statistic(ours), statistic(theirs)).pvalue > ALPHA, name


def test_blur_sigmas_are_uniform():
    dot = torch.zeros(3000, 17, 17, 3, dtype=torch.uint8)
    dot[:, 8, 8] = 255
    out = views(PLAIN | {"blur_p": 1.0, "blur_sigma": [0.5, 2.0]}, dot).double()
    sigma = (-0.5 / (out[:, 0, 8, 9] / out[:, 0, 8, 8]).log()).sqrt()  # neighbours of a Gaussian's top
    assert kstest(sigma, "uniform", (0.5, 1.5)).pvalue > ALPHA


@pytest.mark.parametrize("p", [0.0, 0.2, 0.8, 1.0])
def test_probabilities(p):
    n = 2000
    ramp = torch.arange(0, 240, 30, dtype=torch.uint8)[None, None, :, None].expand(n, 8, 8, 3)
    tinted = constant(200, 100, 50, n)
    share = {
        "flip_p": lambda out: out[:, 0, 0, 0] > out[:, 0, 0, 7],
        "blur_p": lambda out: out[:, 0, 0, 0] > 0.01,
        "grayscale_p": lambda out: out[:, 0, 0, 0] == out[:, 2, 0, 0],
        "jitter_p": lambda out: (out[:, 0, 0, 0] - 200 / 255).abs() > 1e-5,
    }
    for key, happened in share.items():
        changes = {key: p, "jitter": [0.2, 0, 0, 0], "blur_sigma": [1.0, 2.0]}
        if key != "jitter_p":
            changes["jitter_p"] = 0.0
        out = views(PLAIN | changes, ramp if key in ("flip_p", "blur_p") else tinted)
        found = happened(out).double().mean().item()
        assert abs(found - p) <= 4 * (p * (1 - p) / n) ** 0.5, key


def test_views_are_distributed_as_torchvisions_pil_pipeline():
    n = 1500
    ramps = torch.linspace(0, 255, 16)
    image = torch.stack(
        [ramps.expand(16, 16), ramps.flip(0)[:, None].expand(16, 16), pixels(16, 16)[..., 0].float() / 2],
        dim=2,
    ).to(torch.uint8)
    pipeline = transforms.Compose(
        [
            transforms.RandomResizedCrop(16, scale=(0.2, 1.0)),
            transforms.ColorJitter(0.4, 0.4, 0.4, 0.4),
            transforms.RandomGrayscale(0.2),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
        ]
    )
    torch.manual_seed(0)
    pil = Image.fromarray(image.numpy())
    theirs = torch.stack([pipeline(pil) for _ in range(n)])
    ours = views(MOCO, image.expand(n, 16, 16, 3))
    space = {
        "corner": lambda v: v[:, 1, 0, 0],
        "slope": lambda v: (v[:, 0, :, 12] - v[:, 0, :, 3]).mean(dim=1),
    }
    for name, statistic in (COLOUR_STATISTICS | space).items():
        assert ks_2samp(statistic(ours), statistic(theirs)).pvalue > ALPHA, name


# The whole.


def test_the_generators_state_decides_and_no_other():
    images = pixels(8, 12, 12)
    settings = MOCO | {"blur_p": 0.5}
    before = torch.get_rng_state()
    first = views(settings, images, seed=5)
    assert torch.equal(first, views(settings, images, seed=5))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first, views(settings, images, seed=6))


def test_the_parts_that_fit_the_cache_make_no_difference(monkeypatch):
    images = pixels(9, 12, 12)
    changes = {
        "blur_p": 0.5,
        "solarize_p": 0.5,
        "erasing_p": 0.5,
        "randaugment": {"n_ops": 2, "magnitude": 9},
    }
    whole = views(MOCO | changes, images)
    monkeypatch.setattr("cld.augment.views.CACHED", 2 * 3 * 12 * 12)
    torch.testing.assert_close(views(MOCO | changes, images), whole)


def test_samples_of_one_image_differ():
    same = pixels(1, 16, 16).expand(32, 16, 16, 3)
    out = views(MOCO, same).flatten(1)
    distances = torch.cdist(out, out) + torch.eye(32)
    assert distances.min() > 1e-3


def test_a_view_depends_on_its_own_image_only_and_leaves_it_as_it_is():
    images = pixels(8, 12, 12)
    others = images.clone()
    others[1:] = 255 - others[1:]
    kept = images.clone()
    settings = MOCO | {"blur_p": 0.5}
    first, second = views(settings, images), views(settings, others)
    torch.testing.assert_close(first[0], second[0])
    assert not torch.allclose(first[1], second[1])
    assert torch.equal(images, kept)


@settings(max_examples=30)
@given(
    n=st.integers(1, 9),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    size=st.integers(1, 20),
    jitter=st.tuples(*[st.floats(0, 1.5)] * 3, st.floats(0, 0.5)),
    extreme=st.booleans(),
    seed=st.integers(0, 99),
)
def test_views_of_any_image_are_images(n, height, width, size, jitter, extreme, seed):
    images = pixels(n, height, width, seed=seed)
    if extreme:
        images = images // 128 * 255
    out = views(MOCO | {"jitter": list(jitter), "blur_p": 0.5, "crop_scale": [0.08, 1.0]}, images, seed, size)
    assert out.shape == (n, 3, size, size)
    assert out.dtype == torch.float32
    assert out.isfinite().all()
    assert out.min() > -1e-5 and out.max() < 1 + 1e-5


def test_solarised_images_are_torchvisions():
    images = floats(8, 6)
    expected = torch.stack([tv.solarize(image, 0.5) for image in images])
    torch.testing.assert_close(solarize(images), expected)


@pytest.mark.parametrize("key", ["blur_p", "solarize_p"])
def test_a_probability_for_each_view(key):
    ramp = torch.arange(0, 240, 30, dtype=torch.uint8)[None, None, :, None].expand(3 * 200, 8, 8, 3)
    plain = views(PLAIN, ramp)
    out = views(PLAIN | {key: [1.0, 0.0, 0.5], "blur_sigma": [1.0, 2.0]}, ramp)
    changed = (out != plain).flatten(1).any(dim=1).view(3, 200).double().mean(dim=1)
    assert changed[0] == 1 and changed[1] == 0 and 0.35 < changed[2] < 0.65
