"""The loop: order, log, refusals, divergence, and that it learns."""

import math
import signal
import subprocess
import sys
import time
from statistics import fmean

import numpy as np
import pytest
import torch
import yaml
from processes import ENVIRONMENT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainings import same_weights, train_arguments

from cld.augment.views import normalise
from cld.config import load_run
from cld.data import Split, read_info, read_split, write_store
from cld.data.epoch_sampler import EpochSampler
from cld.evaluation.accuracy import top_accuracy
from cld.knn_vote import knn_classify
from cld.methods import METHODS
from cld.runtime.errors import InputError
from cld.runtime.rng import stream_seed
from cld.training.checkpoint import load_checkpoint, load_encoder
from cld.training.loop import train
from cld.training.run_folder import log_rows
from cld.training.step import feature_spread
from cld.training.training_log import TrainingLog


def test_streams_of_random_numbers_do_not_coincide():
    seeds = [stream_seed(seed, stream, step) for seed in range(4) for stream in (0, 1) for step in range(50)]
    assert len(set(seeds)) == len(seeds)


def test_feature_spread_tells_even_from_collapsed():
    torch.manual_seed(0)
    even = torch.nn.functional.normalize(torch.randn(4000, 32), dim=1)
    assert feature_spread(even).item() == pytest.approx(1, abs=0.02)
    assert feature_spread(even[:1].expand(100, -1)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("method", ["npid", "moco"])
def test_a_run_folder_holds_configuration_log_curves_and_checkpoint(tiny_run, tiny_store, tmp_path, method):
    config, run = tiny_run(method), tmp_path / "run"
    if method == "moco":  # a resumed run has each epoch once in its log and its curves
        stop_after_epochs(config, tiny_store, run, 2)
    assert train(config, tiny_store, run, "cpu") == run / "checkpoint.pt"
    assert yaml.safe_load((run / "config.yaml").read_text()) == config
    checkpoint = load_checkpoint(run / "checkpoint.pt")
    assert checkpoint["config"] == config
    assert checkpoint["data"] == read_info(tiny_store).checksum
    assert checkpoint["step"] == 12
    assert checkpoint["provenance"]["libraries"]["torch"] == torch.__version__.split("+")[0]
    rows = log_rows(run / "log.csv")
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "4"), ("2", "8"), ("3", "12")]
    for row in rows:
        assert float(row["loss"]) == pytest.approx(float(row["instance_loss"]) + 0.5 * float(row["cld_loss"]))
        assert float(row["lr"]) > 0
        assert float(row["images_per_s"]) > 0
        assert 0 < float(row["feature_spread"]) < 2
        assert -1 <= float(row["positive_similarity"]) <= 1
    curves = EventAccumulator(str(run / "tb")).Reload()
    for name in ("loss", "instance_loss", "cld_loss", "lr", "feature_spread"):
        points = [(point.step, point.value) for point in curves.Scalars(name)]
        assert points == [(int(row["step"]), pytest.approx(float(row[name]), rel=1e-6)) for row in rows]


def stop_after_epochs(config, store, run, n):
    """Leave the run as a process does that is told to stop right after the ``n``-th epoch."""
    append = TrainingLog.append

    def append_and_stop(log, row):
        append(log, row)
        if row["epoch"] == n:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(TrainingLog, "append", append_and_stop)
        train(config, store, run, "cpu")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert load_checkpoint(run / "partial.pt")["step"] == 4 * n


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tiny_run, tiny_store, tmp_path):
    runs = []
    for name, seed in {"one": 0, "again": 0, "other": 1}.items():
        torch.rand(seed + 3)  # whatever the process has drawn before
        config = tiny_run("moco", {"optimiser.epochs": 1}, seed)
        runs.append(train(config, tiny_store, tmp_path / name, "cpu"))
    assert same_weights(runs[0], runs[1])
    assert not same_weights(runs[0], runs[2])


def test_no_epochs_give_the_untrained_network(tiny_run, tiny_store, tmp_path):
    path = train(tiny_run("npid", {"optimiser.epochs": 0}), tiny_store, tmp_path, "cpu")
    assert load_checkpoint(path)["step"] == 0
    assert log_rows(tmp_path / "log.csv") == []


def test_an_epoch_moves_the_memory_of_the_images_it_showed_and_of_no_other(tiny_run, tiny_store, tmp_path):
    banks = []
    for epochs in (0, 1):
        path = train(
            tiny_run("npid", {"optimiser.epochs": epochs}), tiny_store, tmp_path / str(epochs), "cpu"
        )
        banks.append(load_checkpoint(path)["method"]["method.bank.memory"])
    shown = set(torch.cat(EpochSampler(0, 36, 8).epoch_batches(0)).tolist())
    moved = (banks[0] != banks[1]).any(dim=1).nonzero().flatten().tolist()
    assert set(moved) == shown
    assert len(shown) == 32


@pytest.mark.parametrize("complete", [True, False])
def test_a_folder_of_another_run_is_refused(tiny_run, tiny_store, other_store, tmp_path, complete):
    if complete:
        train(tiny_run(), tiny_store, tmp_path, "cpu")
    else:
        stop_after_epochs(tiny_run(), tiny_store, tmp_path, 1)
    before = (tmp_path / "config.yaml").read_text()
    name = r"checkpoint\.pt" if complete else r"partial\.pt"
    changed = tiny_run("npid", {"optimiser.lr": 0.06, "cld.n_groups": 4})
    keys = r"cld\.n_groups 3 there, 4 here, optimiser\.lr 0\.03 there, 0\.06 here"
    belongs = rf"{name}: belongs to another training"
    with pytest.raises(InputError, match=rf"{belongs} \({keys}\); delete it to start afresh"):
        train(changed, tiny_store, tmp_path, "cpu")
    with pytest.raises(InputError, match=rf"{belongs} \(store \w{{12}} there, \w{{12}} here\); delete it"):
        train(tiny_run(), other_store, tmp_path, "cpu")
    assert (tmp_path / "config.yaml").read_text() == before


@pytest.mark.parametrize("clustering", ["kmeans", "spectral"])
def test_divergence_names_the_term_and_keeps_the_last_good_state(tiny_run, tiny_store, tmp_path, clustering):
    config = tiny_run(
        "npid", {"optimiser.lr": 1e30, "optimiser.warmup_epochs": 0, "cld.clustering": clustering}
    )
    with pytest.raises(
        InputError, match=r"training diverged by step \d+: .* not finite; lower optimiser\.lr"
    ):
        train(config, tiny_store, tmp_path, "cpu")
    assert not (tmp_path / "checkpoint.pt").exists()
    if (tmp_path / "partial.pt").exists():
        state = load_checkpoint(tmp_path / "partial.pt")["method"]
        assert all(value.isfinite().all() for value in state.values())


def test_collapse_ends_the_run_and_says_the_fix(tiny_run, tiny_store, tmp_path):
    # without its slow target, and pulled to zero by weight decay, BYOL's features become one point
    settings = {"cld.weight": 0, "byol.momentum": 0.0, "optimiser.weight_decay": 3.0, "optimiser.lr": 0.3}
    config = tiny_run("byol", settings | {"optimiser.epochs": 30, "optimiser.warmup_epochs": 0})
    with pytest.raises(InputError, match=r"features have collapsed by step \d+: .*lower optimiser\.lr"):
        train(config, tiny_store, tmp_path, "cpu")
    assert (tmp_path / "partial.pt").exists() and not (tmp_path / "checkpoint.pt").exists()


def test_a_term_that_is_not_finite_is_named(tiny_run, tiny_store, tmp_path, monkeypatch):
    calls = []

    def loss(features, *_):
        calls.append(None)
        return features.sum() * (math.nan if len(calls) == 6 else 0.0)

    monkeypatch.setattr("cld.methods.cld.cross_level_loss", loss)
    with pytest.raises(InputError, match="diverged by step 6: loss, cld_loss not finite"):
        train(tiny_run(), tiny_store, tmp_path, "cpu")
    assert load_checkpoint(tmp_path / "partial.pt")["step"] == 5


@pytest.mark.slow
def test_the_command_saves_and_stops_on_sigterm(tiny_run, tiny_store, tmp_path):
    config, run = tiny_run("npid", {"optimiser.epochs": 400}), tmp_path / "run"
    command = [sys.executable, *train_arguments(config, tiny_store, run)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=ENVIRONMENT)
    while process.poll() is None and not (run / "partial.pt").exists():
        time.sleep(0.01)
    process.terminate()
    _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM, errors
    stopped_at = load_checkpoint(run / "partial.pt")["step"]
    assert f"stopped: step {stopped_at} is saved in {run / 'partial.pt'}" in errors.decode()
    with pytest.raises(InputError, match=r"optimiser\.epochs 400 there, 3 here"):
        train(tiny_run(), tiny_store, run, "cpu")


@pytest.fixture(scope="module")
def gratings(tmp_path_factory):
    """Four classes of grey stripes by their orientation; phase, contrast, light and noise say nothing.

    No colours: with so few steps networks learn to tell pictures apart by them, and nothing of the stripes.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]

    def split(n):
        labels = rng.integers(0, 4, n)
        angle = (labels * math.pi / 4 + rng.normal(0, 0.08, n))[:, None, None]
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 1.2 + rng.uniform(0, 7, (n, 1, 1)))
        light, contrast = rng.uniform(90, 160, (n, 1, 1)), rng.uniform(-60, 60, (n, 1, 1))
        images = light + contrast * wave + rng.normal(0, 12, (n, 16, 16))
        return Split(images.clip(0, 255).astype(np.uint8)[..., None].repeat(3, axis=3), labels)

    path = tmp_path_factory.mktemp("gratings") / "store.h5"
    write_store(
        path,
        {"train": split(512), "test": split(256)},
        dataset="kitchen_hc",
        preset="demo",
        classes=list("abcd"),
        sources={},
        config={},
    )
    return path


def knn_top1(checkpoint, store):
    encoder, _ = load_encoder(checkpoint)
    info, train_split, test_split = read_info(store), read_split(store, "train"), read_split(store, "test")
    with torch.no_grad():
        features = [
            encoder(normalise(torch.from_numpy(split.images), info.mean, info.std))
            for split in (train_split, test_split)
        ]
    labels = [torch.from_numpy(split.labels) for split in (train_split, test_split)]
    return top_accuracy(knn_classify(features[0], labels[0], features[1], 4, 10, 0.1), labels[1])["top1"]


#: A run that learns the gratings in seconds.
LEARNS = {
    "backbone.width": 8,
    "backbone.stem": "small_stride2",
    "head.dim": 32,
    "queue.size": 256,
    "cld.n_groups": 16,
    "cld.weight": 1.0,
    "temperature": 0.2,
    "optimiser.batch_size": 64,
    "optimiser.epochs": 16,
    "optimiser.lr": 0.02,
    "augment.crop_scale": [0.7, 1.0],
    "augment.flip_p": 0.0,  # a mirror image is of another class here
    "augment.blur_p": 0.0,  # and blur takes the gratings away
    "augment.solarize_p": 0.0,
    "augment.randaugment.n_ops": 0,  # and a turn makes another class of them
    "byol.momentum": 0.9,  # for so few steps
    "checkpoint_every_s": 60,
}


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(METHODS))
def test_learns_features_better_than_an_untrained_networks(tiny_run, gratings, tmp_path, method):
    trained = train(tiny_run(method, LEARNS), gratings, tmp_path / "trained", "cpu")
    untrained = train(
        tiny_run(method, LEARNS | {"optimiser.epochs": 0}), gratings, tmp_path / "untrained", "cpu"
    )
    assert knn_top1(trained, gratings) > knn_top1(untrained, gratings) + 15


@pytest.mark.slow
def test_bf16_learns_as_much_as_fp32_to_ten_points(tiny_run, gratings, tmp_path):
    def scores(precision):
        configs = [tiny_run("npid", LEARNS | {"precision": precision}, seed) for seed in range(2)]
        folders = [tmp_path / f"{precision}-{seed}" for seed in range(2)]
        runs = [train(config, gratings, run, "cpu") for config, run in zip(configs, folders, strict=True)]
        return [knn_top1(run, gratings) for run in runs]

    # five times what either differs by between seeds: how a processor rounds must not decide it
    assert fmean(scores("bf16")) > fmean(scores("fp32")) - 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "is a store of kitchen_hc, and the run is of cifar10; name that store"),
        ({"optimiser.batch_size": 64}, "the 36 images of train do not fill a batch of 64; lower"),
        (
            {"backbone.name": "vit_b_16", "image_size": 32},
            r"image_size 32: .* set image_size=224, or choose another",
        ),
    ],
)
def test_what_does_not_fit_the_store_is_refused_before_anything_is_written(
    tiny_run, tiny_store, tmp_path, changes, message
):
    config = tiny_run("npid", changes) if changes else load_run("demo", "cifar10", "npid", 0)
    with pytest.raises(InputError, match=message):
        train(config, tiny_store, tmp_path, "cpu")
    assert not list(tmp_path.iterdir())
