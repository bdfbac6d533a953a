"""Training on JPEGs: the views, what processes and interruptions may not change, and what goes wrong."""

import csv
import io
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from photos import encoded, photos, write_photos
from PIL import Image
from torch.optim import SGD

from cld.augment.views import Augment
from cld.data import EncodedImages, Split, read_info, write_store
from cld.data.epoch_sampler import EpochSampler
from cld.data.random_crops import RandomCrops
from cld.data.view_batches import view_batches
from cld.training.checkpoint import load_checkpoint
from cld.training.loop import train

N, BATCH = 40, 8
#: Views that are cropped, perhaps mirrored, and nothing else.
PLAIN = {f"augment.{key}": 0.0 for key in ("jitter_p", "grayscale_p", "blur_p", "solarize_p")}
PLAIN["augment.randaugment.n_ops"] = 0
SIDE = {"image_size": 16, "optimiser.epochs": 2, "workers": 0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """40 training images in two splits: batches take from both."""
    folder = tmp_path_factory.mktemp("photos")
    return write_photos(folder / "s.h5", {"train": photos(25), "unlabelled": photos(15, seed=1)})


@pytest.fixture(scope="module")
def photo_run(tiny_run):
    def resolve(method="npid", overrides=None):
        return tiny_run(method, {**SIDE, "train_on": ["train", "unlabelled"], **(overrides or {})})

    return resolve


def losses(run):
    with open(run / "log.csv", newline="") as text:
        return [row["loss"] for row in csv.DictReader(text)]


def test_a_stopped_run_ends_with_the_same_weights_whatever_the_workers(
    photo_run, store, tmp_path, monkeypatch
):
    stop_at = 3
    whole = train(photo_run("moco"), store, tmp_path / "whole", "cpu")
    step, calls = SGD.step, []

    def step_and_stop(*args, **options):
        calls.append(None)
        if len(calls) == stop_at:
            signal.raise_signal(signal.SIGTERM)
        return step(*args, **options)

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(SGD, "step", step_and_stop)
        train(photo_run("moco", {"workers": 2}), store, tmp_path / "stopped", "cpu")
    assert load_checkpoint(tmp_path / "stopped/partial.pt")["step"] == stop_at
    resumed = train(photo_run("moco", {"workers": 1}), store, tmp_path / "stopped", "cpu")
    ours, theirs = (load_checkpoint(path) for path in (resumed, whole))
    assert ours["step"] == theirs["step"] == 2 * N // BATCH
    assert all(torch.equal(value, ours["method"][name]) for name, value in theirs["method"].items())
    assert losses(whole.parent) == losses(resumed.parent)
    assert all(math.isfinite(float(loss)) for loss in losses(whole.parent))


def test_a_signal_to_the_whole_group_saves_the_run_and_leaves_no_process(photo_run, store, tmp_path):
    overrides = {"optimiser.epochs": 500, "workers": 2}
    config, run = photo_run("npid", overrides), tmp_path / "run"
    command = [sys.executable, "-m", "cld", "train", "--preset", "demo", "--dataset", "kitchen_hc"]
    command += ["--method", "npid", "--store", str(store), "--run-dir", str(run), "--device", "cpu"]
    sections = ["backbone", "head", "queue", "cld", "optimiser"]
    command += [f"{part}.{key}={value}" for part in sections for key, value in config[part].items()]
    command += ["train_on=[train, unlabelled]", "image_size=16", "workers=2", "checkpoint_every_s=0"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    while process.poll() is None and not (run / "partial.pt").exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate()  # waits for everyone who could still write
    assert process.returncode == 128 + signal.SIGTERM, errors
    stopped_at = load_checkpoint(run / "partial.pt")["step"]
    assert errors.decode().splitlines()[-1] == f"stopped: step {stopped_at} is saved in {run / 'partial.pt'}"
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_views_show_the_images_that_they_are_said_to_show(photo_run, tmp_path):
    """Each image is of its own grey: the first batch, view by view."""
    greys = np.arange(N) * 6 + 5
    path = write_photos(
        tmp_path / "s.h5",
        {
            name: [encoded(np.full((30, 40, 3), grey, np.uint8)) for grey in part]
            for name, part in (("train", greys[:25]), ("unlabelled", greys[25:]))
        },
    )
    config = photo_run("npid", {**PLAIN, "views": 3})
    info = read_info(path)
    sampler = EpochSampler(0, N, BATCH, stop=5)
    with view_batches(path, info, config, sampler, torch.device("cpu")) as batches:
        for [(index, draw)] in batches:
            views = draw(torch.Generator().manual_seed(0))
            assert views.shape == (3 * BATCH, 3, 16, 16)
            red = views.view(3, BATCH, 3, -1)[:, :, 0] * info.std[0] + info.mean[0]
            shown = torch.from_numpy(greys)[index].float()[:, None] / 255
            assert (red - shown).abs().max() < 0.01


def test_views_of_jpegs_and_of_arrays_are_drawn_from_one_distribution(photo_run, tmp_path):
    images = photos(8, seed=2, sides=(40, 40))
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(image)).convert("RGB")) for image in images])
    path = write_photos(tmp_path / "j.h5", {"train": images})
    arrays = tmp_path / "a.h5"
    facts = {"dataset": "d", "preset": "demo", "classes": ["a"], "sources": {}, "config": {}}
    statistics = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    write_store(arrays, {"train": Split(pixels, np.zeros(8, int))}, **facts, **statistics)
    config = photo_run("npid", {"train_on": ["train"], **PLAIN})
    drawn = []
    for store in (path, arrays):
        sums = torch.zeros(8, 4, 3, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        sampler = EpochSampler(0, 8, 8, stop=300)
        with view_batches(store, read_info(store), config, sampler, torch.device("cpu")) as batches:
            for [(index, draw)] in batches:
                views = draw(generator).double().view(2, 8, 3, 16, 16)
                quarters = views.mean(dim=(0, 3))  # columns tell places and mirror images apart
                moments = [views.mean(dim=(0, 3, 4)), views.std(dim=(3, 4)).mean(dim=0)]
                moments += [quarters[..., :4].mean(dim=2), quarters.std(dim=2)]
                sums[index] += torch.stack(moments, dim=1) / 300
        drawn.append(sums)
    assert (drawn[0] - drawn[1]).abs().max() < 0.05
    assert drawn[0].std() > 0.3  # and the moments differ far more between images than between the two


def test_crops_are_drawn_anew_for_each_place_and_step(photo_run, store):
    splits = [EncodedImages(store, split) for split in ("train", "unlabelled")]
    cuts = RandomCrops(splits, 2, [0.2, 1.0], 16, seed=0)
    first = cuts((0, 0, [5, 5, 30]))
    assert first.shape == (2, 3, 16, 16, 3)
    assert not np.array_equal(first[0, 0], first[1, 0])
    assert not np.array_equal(first[0, 0], first[0, 1])
    assert not np.array_equal(first, cuts((1, 0, [5, 5, 30])))
    parts = [cuts((0, 0, [5])), cuts((0, 1, [5, 30]))]  # as two processes would
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), first)


def test_views_of_arrays_of_another_size(tiny_run, tiny_store):
    config = tiny_run("npid", {"image_size": 12})
    info, sampler = read_info(tiny_store), EpochSampler(0, 36, 8, stop=4)
    with view_batches(tiny_store, info, config, sampler, torch.device("cpu")) as batches:
        shapes = {draw(torch.default_generator).shape for [(_, draw)] in batches}
    assert shapes == {(16, 3, 12, 12)}


def test_what_follows_cropping_is_the_same_for_crops(photo_run):
    """Whole images as crops: an augmentation that does not crop gives the same views."""
    settings = photo_run()["augment"] | {"crop_scale": [1.0, 1.0], "flip_p": 0.5, "jitter_p": 0.0}
    augment = Augment(settings | {"grayscale_p": 0.0, "blur_p": 0.0}, 16, [0.5] * 3, [0.25] * 3)
    images = torch.randint(0, 256, (64, 16, 16, 3), dtype=torch.uint8)
    views = augment.of_crops(images, torch.Generator().manual_seed(0))
    whole = (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    flipped = torch.isclose(views, whole.flip(3), atol=1e-5).all(dim=(1, 2, 3))
    assert torch.allclose(torch.where(flipped[:, None, None, None], whole.flip(3), whole), views, atol=1e-5)
    assert 15 < flipped.sum() < 49
