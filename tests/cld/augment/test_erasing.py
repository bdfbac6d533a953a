"""Random erasing against torchvision's."""

import pytest
import torch
from scipy.stats import ks_2samp
from torch import Generator
from torchvision import transforms
from torchvision.transforms.v2 import functional as tv

from cld.augment.erasing import RATIO, SCALE, erase_, sample_rectangles
from cld.augment.views import Augment
from cld.config import load_run

ALPHA = 1e-3


def rng(seed=0):
    return Generator().manual_seed(seed)


def test_erased_views_are_torchvisions():
    images, rectangles = torch.randn(32, 3, 12, 12, generator=rng()), sample_rectangles(32, 12, rng())
    expected = [
        tv.erase(image, *box, torch.zeros(())) for image, box in zip(images, rectangles.tolist(), strict=True)
    ]
    assert torch.equal(erase_(images.clone(), rectangles), torch.stack(expected))
    assert torch.equal(erase_(images.clone(), 0 * rectangles), images)


@pytest.mark.parametrize("size", [32, 96])
def test_rectangles_are_distributed_as_torchvisions(size):
    n, image = 3000, torch.empty(3, size, size)
    torch.manual_seed(0)
    sample = transforms.RandomErasing.get_params
    theirs = torch.tensor([sample(image, SCALE, RATIO, [0.0])[:4] for _ in range(n)])
    for mine, other in zip(summaries(sample_rectangles(n, size, rng())), summaries(theirs), strict=True):
        assert ks_2samp(mine, other).pvalue > ALPHA


def test_the_ranges_are_torchvisions_defaults():
    erasing = transforms.RandomErasing()
    assert (erasing.scale, erasing.ratio, erasing.value) == (SCALE, RATIO, 0)


def summaries(rectangles):
    top, left, height, width = rectangles.double().T
    return height * width, height / width, height, width, top, left


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_a_share_of_the_views_is_erased_after_normalisation_and_nothing_else_changes(p):
    settings = load_run("paper", "cifar10", "moco")["augment"] | {"blur_p": 0.5}
    images = torch.randint(0, 256, (600, 16, 16, 3), generator=rng(), dtype=torch.uint8)
    plain, erased = (
        Augment(settings | {"erasing_p": value}, 16, [0.4] * 3, [0.2] * 3)(images, rng(5))
        for value in (0.0, p)
    )
    changed = (plain != erased).any(dim=1)  # 600, 16, 16
    assert abs(changed.flatten(1).any(dim=1).double().mean() - p) <= 4 * (p * (1 - p) / 600) ** 0.5
    assert not erased.permute(0, 2, 3, 1)[changed].any(), "the channels' mean"


def test_without_erasing_nothing_is_drawn_for_it():
    """What a method draws after the views is then what it drew before there was erasing."""
    settings = load_run("paper", "cifar10", "moco")["augment"]
    images = torch.zeros(4, 8, 8, 3, dtype=torch.uint8)
    states = []
    for p in (0.0, 1.0):
        generator = rng()
        Augment(settings | {"erasing_p": p}, 8, [0.4] * 3, [0.2] * 3)(images, generator)
        states.append(generator.get_state())
    generator.set_state(states[0])
    sample_rectangles(4, 8, generator)
    torch.rand(1, 4, generator=generator)
    assert torch.equal(generator.get_state(), states[1])
