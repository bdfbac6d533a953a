"""Options for speed leave the loss as it is, and the kNN monitor leaves the run as it is."""

import copy
import shutil

import pytest
import torch
from torch import nn
from trainings import interrupted, same_weights

from cld.methods import build_method
from cld.methods.encoder import Encoder
from cld.runtime.errors import InputError
from cld.training.checkpoint import load_checkpoint
from cld.training.knn_monitor import KNNMonitor
from cld.training.loop import train
from cld.training.run_folder import log_rows
from cld.training.speed_options import apply_speed_options

#: At so low a rate the weights stay the same, and only the option tells two runs apart.
STILL = {"optimiser.lr": 1e-6, "optimiser.min_lr": 0, "optimiser.epochs": 1}


#: Each with how far it may move the loss.
OPTIONS = [
    ({"speed.channels_last": False}, 1e-4),
    ({"precision": "bf16"}, 0.05),
    ({"precision": "fp16"}, 0.02),
]


@pytest.mark.parametrize("method", ["npid", "moco", "byol"])
def test_an_option_gives_the_same_loss_within_its_precision(tiny_run, tiny_store, tmp_path, method):
    def loss(name, option):
        run = train(tiny_run(method, {**STILL, **option}), tiny_store, tmp_path / name, "cpu")
        return float(log_rows(run.parent / "log.csv")[0]["instance_loss"])

    plain = loss("plain", {})
    for number, (option, rel) in enumerate(OPTIONS):
        changed = loss(str(number), option)
        assert "precision" not in option or changed != plain
        assert changed == pytest.approx(plain, rel=rel)


@pytest.mark.parametrize(("name", "option"), [("npid", {"bank.negatives": 5}), ("infomin", {})])
def test_a_compiled_method_gives_the_same_loss_gradient_and_names(tiny_run, name, option):
    torch.manual_seed(0)
    plain = build_method(tiny_run(name, option), 20)
    for module in plain.modules():
        if isinstance(module, Encoder):  # a backbone that is compiled in seconds
            width = module.backbone.out_features
            module.backbone = nn.Sequential(nn.Conv2d(3, width, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    compiled, settings = copy.deepcopy(plain), {"channels_last": False, "compile": True}
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        with pytest.raises(InputError, match=r"speed\.compile: needs a C\+\+ compiler"):
            apply_speed_options(compiled, settings, torch.device("cpu"))
        return
    apply_speed_options(compiled, settings, torch.device("cpu"))
    views, index = [torch.randn(8, 3, 12, 12) for _ in range(3)], torch.arange(8)

    def gradients(method):
        torch.manual_seed(1)  # of drawn negatives and patches
        step = method(views, index)
        step.loss.backward()
        return step.logs, {key: weights.grad for key, weights in method.named_parameters()}

    torch.testing.assert_close(gradients(compiled), gradients(plain), rtol=1e-3, atol=1e-4)
    assert compiled.state_dict().keys() == plain.state_dict().keys()


def test_compiling_without_a_compiler_is_refused_before_training(tiny_run, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match=r"speed\.compile: needs a C\+\+ compiler on a CPU; install g\+\+"):
        apply_speed_options(
            torch.nn.Linear(1, 1), {"channels_last": False, "compile": True}, torch.device("cpu")
        )


def test_fp16_resumes_with_its_scale(tiny_run, tiny_store, tmp_path):
    config = tiny_run("npid", {"precision": "fp16"})
    whole = train(config, tiny_store, tmp_path / "whole", "cpu")
    assert load_checkpoint(whole)["scaler"]["scale"] > 1
    with interrupted(5):
        train(config, tiny_store, tmp_path / "killed", "cpu")
    assert same_weights(train(config, tiny_store, tmp_path / "killed", "cpu"), whole)


def test_monitoring_changes_nothing_of_the_run(tiny_run, tiny_store, tmp_path):
    config = tiny_run("moco", {"watch.knn_every": 2, "watch.k": 5})
    monitored = train(config, tiny_store, tmp_path / "m", "cpu", KNNMonitor(config, tiny_store))
    plain = train(config, tiny_store, tmp_path / "p", "cpu")
    assert same_weights(monitored, plain)
    seen = [row["knn_top1"] for row in log_rows(monitored.parent / "log.csv")]
    assert [value != "" for value in seen] == [False, True, False]
    assert 0 <= float(seen[1]) <= 100


def test_more_neighbours_than_images_are_refused(tiny_run, tiny_store):
    with pytest.raises(InputError, match=r"watch\.k 50: there are 36 training images; lower it"):
        KNNMonitor(tiny_run("npid", {"watch.knn_every": 1, "watch.k": 50}), tiny_store)
