"""Features of stores of both kinds: the transforms of testing, whatever the processes and batches."""

import io

import pytest
import torch
from photos import photos, write_photos
from PIL import Image
from torchvision import transforms

from cld.augment.views import normalise
from cld.data import features, read_info, read_split
from cld.data.features import extract_features

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    splits = {"train": photos(24), "test": photos(9, seed=1)}
    return write_photos(tmp_path_factory.mktemp("features") / "s.h5", splits)


class Pixels(torch.nn.Module):
    """An encoder whose features are what it sees."""

    def forward(self, images):
        return images.flatten(1)


def test_jpegs_are_seen_as_torchvisions_transforms_show_them(store):
    info = read_info(store)
    ours = extract_features(Pixels(), store, "test", info, CPU, image_size=28)
    transform = transforms.Compose(
        [
            transforms.Resize(32),
            transforms.CenterCrop(28),
            transforms.ToTensor(),
            transforms.Normalize(info.mean, info.std),
        ]
    )
    images = [Image.open(io.BytesIO(image)).convert("RGB") for image in photos(9, seed=1)]
    expected = torch.stack([transform(image) for image in images]).flatten(1)
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() < 2.5 / 255 / min(info.std)  # two roundings against one


@pytest.mark.parametrize(("workers", "batch"), [(0, 5), (2, 1), (2, 5)])
def test_features_depend_neither_on_processes_nor_on_batches(store, monkeypatch, workers, batch):
    info = read_info(store)
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten())
    expected = extract_features(encoder, store, "train", info, CPU, 16)
    monkeypatch.setattr(features, "JPEG_BATCH", batch)
    ours = extract_features(encoder, store, "train", info, CPU, 16, workers)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_arrays_are_seen_whole_at_any_size(tiny_store):
    info, split = read_info(tiny_store), read_split(tiny_store, "test")
    as_stored = extract_features(Pixels(), tiny_store, "test", info, CPU)
    expected = normalise(torch.from_numpy(split.images), info.mean, info.std)
    assert torch.equal(as_stored, expected.flatten(1))
    smaller = extract_features(Pixels(), tiny_store, "test", info, CPU, image_size=4).view(-1, 3, 4, 4)
    reference = torch.nn.functional.interpolate(expected, (4, 4), mode="bilinear", antialias=True)
    torch.testing.assert_close(smaller, reference, rtol=0, atol=1e-4)
