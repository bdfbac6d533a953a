"""What is exported: others read it, its features are ours bit for bit, its card says what it is."""

import json
import os
import re
import sys

import pytest
import safetensors
import torch
import yaml
from results_tree import PROVENANCE
from safetensors.torch import load_file
from third_party import randomised, resnet10
from torch import nn
from torchvision import models

from cld.__main__ import main
from cld.checkpoints.exporting import export_run
from cld.checkpoints.importing import import_checkpoint
from cld.config import load_run
from cld.data import read_info
from cld.methods.encoder import build_encoder
from cld.runtime.errors import InputError
from cld.runtime.provenance import provenance
from cld.training.checkpoint import load_encoder, save_checkpoint
from cld.training.run_id import run_id

TORCHVISION = {"backbone.blocks": None, "backbone.width": 64, "backbone.stem": "imagenet"}
TINY = {"backbone.blocks": [1, 1, 1, 1], "backbone.width": 4, "backbone.stem": "small", "head.dim": 8}


def trained(path, overrides=TINY, data="e" * 64):
    """A run's checkpoint with random weights; its encoder and configuration."""
    config = load_run("demo", "kitchen_hc", "npid", 3, overrides)
    encoder = randomised(build_encoder(config), seed=0)
    state = encoder.state_dict()
    save_checkpoint(path, {"config": config, "data": data, "encoder": state, "provenance": provenance()})
    return encoder, config


@torch.inference_mode()
def features(network):
    return network(torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(("name", "suffix"), [("resnet18", ".pth"), ("resnet50", ".safetensors")])
def test_torchvision_reads_it_and_gives_our_features(name, suffix, tmp_path):
    encoder, _ = trained(tmp_path / "checkpoint.pt", {"backbone.name": name, **TORCHVISION})
    path, tensors, card = export_run(tmp_path / "checkpoint.pt", tmp_path / "out")
    state = torch.load(path, weights_only=True) if suffix == ".pth" else load_file(tensors)
    network = getattr(models, name)()
    missing = network.load_state_dict(state, strict=False)
    assert (missing.missing_keys, missing.unexpected_keys) == (["fc.weight", "fc.bias"], [])
    network.fc = nn.Identity()
    assert torch.equal(features(network.eval()), features(encoder.backbone))
    assert f"torchvision.models.{name}()" in card.read_text()


@pytest.mark.parametrize(
    "overrides",
    [TORCHVISION, TINY, {"backbone.name": "shufflenet_v2_x0_5"}],
    ids=["torchvision's", "ours", "no ResNet"],
)
def test_the_card_s_own_words_load_it(overrides, tmp_path, monkeypatch):
    encoder, _ = trained(tmp_path / "checkpoint.pt", overrides)
    *_, card = export_run(tmp_path / "checkpoint.pt", tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", card.read_text(), re.DOTALL)
    monkeypatch.chdir(card.parent)
    names = {}
    exec(code, names)
    assert torch.equal(features(names["model"]), features(encoder.backbone))


@pytest.mark.parametrize("stem", ["imagenet", "small", "small_stride2"])
def test_what_was_exported_comes_back(stem, tmp_path):
    encoder, config = trained(tmp_path / "checkpoint.pt", {**TINY, "backbone.stem": stem})
    again = {"backbone.stem": stem} if stem == "small_stride2" else {}
    facts = {"preset": "demo", "dataset": "kitchen_hc", "name": "again", "overrides": again}
    for path in export_run(tmp_path / "checkpoint.pt", tmp_path / "out")[:2]:
        report = import_checkpoint(path, tmp_path / "run", **facts)
        back, config_back = load_encoder(tmp_path / "run" / "checkpoint.pt")
        assert config_back["backbone"] == config["backbone"]
        assert torch.equal(features(back.backbone), features(encoder.backbone))
        assert not report["unmatched_theirs"] and not report["missing_ours"]


def test_safetensors_name_the_run_and_its_configuration(tmp_path):
    _, config = trained(tmp_path / "checkpoint.pt")
    _, path, _ = export_run(tmp_path / "checkpoint.pt", tmp_path / "out")
    assert path.name == f"{run_id(config)}.safetensors"
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["run"] == run_id(config) and json.loads(metadata["config"]) == config


def test_exporting_twice_gives_the_same_bytes(tmp_path):
    trained(tmp_path / "checkpoint.pt")
    first, second = (export_run(tmp_path / "checkpoint.pt", tmp_path / out) for out in ("a", "b"))
    assert first[0].read_bytes() == second[0].read_bytes()
    assert first[2].read_bytes() == second[2].read_bytes()


def score(path, run, preset="demo"):
    content = {"protocol": "knn", "preset": preset, "dataset": "kitchen_hc", "run": run, "seed": 3}
    content |= {"metrics": {"top1": 61.25, "top5": 93.0}, "settings": {}, "provenance": PROVENANCE}
    path.write_text(json.dumps(content))
    return path


def test_the_card_says_what_it_is(tmp_path, tiny_store):
    info = read_info(tiny_store)
    _, config = trained(tmp_path / "checkpoint.pt", data=info.checksum)
    (tmp_path / "scores").mkdir()
    score(tmp_path / "scores" / "knn.json", run_id(config))
    _, _, path = export_run(tmp_path / "checkpoint.pt", tmp_path / "out", [tmp_path / "scores"], tiny_store)
    text = path.read_text()
    assert yaml.safe_load(text.split("---")[1])["license"] == "mit"
    assert "**Trained on generated images in the publisher's file format, not on the published" in text
    assert "| method | npid + CLD, " in text
    assert "| knn | kitchen_hc | demo | 61.25 | 93.00 |" in text
    assert f"less mean {[round(value, 4) for value in info.mean]}" in text
    configuration, made = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert yaml.safe_load(configuration) == config
    assert {"code", "libraries", "device"} <= yaml.safe_load(made).keys()
    assert "Wang, Xudong and Liu, Ziwei and Yu, Stella X." in text
    assert "\n\n\n" not in text


def test_the_preset_follows_from_the_path_or_is_not_known(tmp_path):
    run = tmp_path / "paper" / "runs" / "r"
    run.mkdir(parents=True)
    trained(run / "checkpoint.pt")
    _, _, card = export_run(run / "checkpoint.pt", tmp_path / "out")
    assert "| preset | paper: " in card.read_text() and "Trained on generated" not in card.read_text()
    os.rename(run / "checkpoint.pt", tmp_path / "checkpoint.pt")
    _, _, card = export_run(tmp_path / "checkpoint.pt", tmp_path / "out")
    assert "| images | not known whether generated |" in card.read_text()


def test_others_weights_are_not_passed_off_as_ours(tmp_path):
    torch.save(resnet10().state_dict(), tmp_path / "theirs.pth")
    import_checkpoint(tmp_path / "theirs.pth", tmp_path / "run", "demo", "kitchen_hc", "theirs")
    _, _, card = export_run(tmp_path / "run" / "checkpoint.pt", tmp_path / "out", preset="demo")
    text = card.read_text()
    assert yaml.safe_load(text.split("---")[1])["license"] == "other"
    assert "Trained by others; renamed, not changed." in text
    assert "MIT" not in text and "bibtex" not in text and "Trained on generated" not in text


@pytest.mark.parametrize(
    ("run", "preset", "message"),
    [
        ("another", "demo", r"knn\.json: is a score of another, not of kitchen_hc-npid-"),
        (None, "paper", r"--preset is of preset demo, score knn is of preset paper; name one preset's"),
    ],
)
def test_a_score_of_something_else_is_one_line(run, preset, message, tmp_path):
    _, config = trained(tmp_path / "checkpoint.pt")
    path = score(tmp_path / "knn.json", run or run_id(config), preset)
    with pytest.raises(InputError, match=message) as error:
        export_run(tmp_path / "checkpoint.pt", tmp_path / "out", [path], preset="demo")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": ["empty"]}, "empty: has no scores"),
        ({"scores": ["none.json"]}, r"none\.json: cannot be read"),
        ({"store": "tiny"}, "is not what the run was trained on"),
        ({"preset": "none"}, r"presets/none\.yaml: no such file"),
    ],
)
def test_what_does_not_belong_to_the_run_is_one_line(options, message, tmp_path, tiny_store, monkeypatch):
    trained(tmp_path / "checkpoint.pt")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    if "store" in options:
        options = {"store": tiny_store}
    with pytest.raises(InputError, match=message):
        export_run(tmp_path / "checkpoint.pt", tmp_path / "out", **options)


def test_the_command_prints_what_it_wrote(tmp_path, monkeypatch, capsys):
    trained(tmp_path / "checkpoint.pt")
    arguments = ["export", str(tmp_path / "checkpoint.pt"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["cld", *arguments])
    main()
    printed = capsys.readouterr().out.split()
    assert set(printed) == {str(path) for path in (tmp_path / "out").iterdir()} and len(printed) == 3
