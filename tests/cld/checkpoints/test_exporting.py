"""What is exported: others read it, its features are ours bit for bit, its card says what it is."""

import json
import os
import re
import subprocess
import sys

import pytest
import safetensors
import torch
import yaml
from safetensors.torch import load_file
from third_party import randomised, resnet10
from torch import nn
from torchvision import models

from cld.__main__ import main
from cld.checkpoints.exporting import export_run
from cld.checkpoints.importing import Wanted, import_checkpoint
from cld.config import load_run
from cld.data import read_info
from cld.methods.encoder import build_encoder
from cld.run_id import run_id
from cld.runtime.errors import InputError, run_command
from cld.runtime.provenance import provenance
from cld.training.checkpoint import load_encoder, save_checkpoint

DATA = "e" * 64


def trained(path, name="resnet18", data=DATA, **overrides):
    """A run's checkpoint with random weights; its encoder and configuration."""
    settings = {
        "backbone.name": name,
        "backbone.blocks": None,
        "backbone.width": 64,
        "backbone.stem": "imagenet",
    }
    config = load_run("demo", "kitchen_hc", "npid", 3, {**settings, **overrides})
    encoder = randomised(build_encoder(config), seed=0)
    state = encoder.state_dict()
    save_checkpoint(path, {"config": config, "data": data, "encoder": state, "provenance": provenance()})
    return encoder, config


TINY = {"backbone.blocks": [1, 1, 1, 1], "backbone.width": 4, "backbone.stem": "small", "head.dim": 8}


@torch.inference_mode()
def features(network, side=64):
    return network(torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvision_reads_it_and_gives_our_features(name, tmp_path):
    encoder, _ = trained(tmp_path / "checkpoint.pt", name)
    weights, tensors, _ = export_run(tmp_path / "checkpoint.pt", tmp_path / "out")
    for state in (torch.load(weights, weights_only=True), load_file(tensors)):
        network = getattr(models, name)()
        missing = network.load_state_dict(state, strict=False)
        assert (missing.missing_keys, missing.unexpected_keys) == (["fc.weight", "fc.bias"], [])
        network.fc = nn.Identity()
        assert torch.equal(features(network.eval()), features(encoder.backbone))


@pytest.mark.parametrize("overrides", [{}, TINY, {"backbone.stem": "small_stride2"}])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_was_exported_comes_back(overrides, suffix, tmp_path):
    encoder, config = trained(tmp_path / "checkpoint.pt", **overrides)
    path = next(p for p in export_run(tmp_path / "checkpoint.pt", tmp_path / "out") if p.suffix == suffix)
    stem = config["backbone"]["stem"]
    again = {} if stem == "imagenet" else {"backbone.stem": stem}
    wanted = Wanted("demo", "kitchen_hc", "again", overrides=again)
    report = import_checkpoint(path, wanted, tmp_path / "run")
    back, config_back = load_encoder(tmp_path / "run" / "checkpoint.pt")
    assert config_back["backbone"] == config["backbone"]
    assert torch.equal(features(back.backbone), features(encoder.backbone))
    assert not report["unmatched_theirs"] and not report["missing_ours"]


def test_safetensors_name_the_run_and_its_configuration(tmp_path):
    _, config = trained(tmp_path / "checkpoint.pt", **TINY)
    _, path, _ = export_run(tmp_path / "checkpoint.pt", tmp_path / "out")
    assert path.name == f"{run_id(config)}.safetensors"
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["run"] == run_id(config) and json.loads(metadata["config"]) == config


def test_exporting_twice_gives_the_same_bytes(tmp_path):
    trained(tmp_path / "checkpoint.pt", **TINY)
    first, second = (export_run(tmp_path / "checkpoint.pt", tmp_path / out) for out in ("a", "b"))
    assert first[0].read_bytes() == second[0].read_bytes()
    assert first[2].read_bytes() == second[2].read_bytes()


@pytest.mark.parametrize("overrides", [{}, TINY], ids=["torchvision", "ours"])
def test_the_card_s_own_words_load_it(overrides, tmp_path, monkeypatch):
    encoder, _ = trained(tmp_path / "checkpoint.pt", **overrides)
    _, _, card = export_run(tmp_path / "checkpoint.pt", tmp_path / "out")
    text = card.read_text()
    assert ("torchvision.models.resnet18()" in text) == (not overrides)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(card.parent)
    names = {}
    exec(code, names)
    assert torch.equal(features(names["model"]), features(encoder.backbone))


def score(path, run, preset="demo", **changes):
    content = {"protocol": "knn", "preset": preset, "dataset": "kitchen_hc", "run": run}
    path.write_text(json.dumps({**content, "metrics": {"top1": 61.25, "top5": 93.0}, **changes}))
    return path


def test_the_card_says_what_it_is(tmp_path, tiny_store):
    info = read_info(tiny_store)
    _, config = trained(tmp_path / "checkpoint.pt", data=info.checksum, **TINY)
    (tmp_path / "scores").mkdir()
    score(tmp_path / "scores" / "knn.json", run_id(config))
    _, _, path = export_run(tmp_path / "checkpoint.pt", tmp_path / "out", [tmp_path / "scores"], tiny_store)
    text = path.read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == "mit"
    assert (
        "**Trained on generated images in the publisher's file format, not on the published dataset" in text
    )
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
    trained(run / "checkpoint.pt", **TINY)
    _, _, card = export_run(run / "checkpoint.pt", tmp_path / "out")
    assert "| preset | paper: " in card.read_text() and "Trained on generated" not in card.read_text()
    os.rename(run / "checkpoint.pt", tmp_path / "checkpoint.pt")
    _, _, card = export_run(tmp_path / "checkpoint.pt", tmp_path / "out")
    assert "| images | not known whether generated |" in card.read_text()


def test_others_weights_are_not_passed_off_as_ours(tmp_path):
    torch.save(resnet10().state_dict(), tmp_path / "theirs.pth")
    import_checkpoint(tmp_path / "theirs.pth", Wanted("demo", "kitchen_hc", "theirs"), tmp_path / "run")
    _, _, card = export_run(tmp_path / "run" / "checkpoint.pt", tmp_path / "out", preset="demo")
    text = card.read_text()
    assert yaml.safe_load(text.split("---")[1])["license"] == "other"
    assert "Trained by others; renamed, not changed." in text
    assert "MIT" not in text and "bibtex" not in text and "Trained on generated" not in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": "another"}, r"knn\.json: is a score of another, not of kitchen_hc-npid-"),
        ({"preset": "paper"}, r"--preset is of preset demo, score knn is of preset paper; name one preset's"),
        ({"metrics": None, "run": None}, r"is a score of None"),
    ],
)
def test_a_score_of_something_else_is_one_line(changes, message, tmp_path):
    _, config = trained(tmp_path / "checkpoint.pt", **TINY)
    path = score(tmp_path / "knn.json", **{"run": run_id(config), **changes})
    with pytest.raises(InputError, match=message) as error:
        export_run(tmp_path / "checkpoint.pt", tmp_path / "out", [path], preset="demo")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run": 1}'])
def test_a_file_that_is_no_score_is_one_line(content, tmp_path):
    trained(tmp_path / "checkpoint.pt", **TINY)
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(InputError, match=r"s\.json: is not a score; name a file"):
        export_run(tmp_path / "checkpoint.pt", tmp_path / "out", [tmp_path / "s.json"])


def test_missing_files_and_another_store_are_one_line(tmp_path, tiny_store):
    _, _ = trained(tmp_path / "checkpoint.pt", **TINY)
    (tmp_path / "empty").mkdir()
    for scores, message in (
        ([tmp_path / "n.json"], "no such score"),
        ([tmp_path / "empty"], "has no scores"),
    ):
        with pytest.raises(InputError, match=message):
            export_run(tmp_path / "checkpoint.pt", tmp_path / "out", scores)
    with pytest.raises(InputError, match="is not what the run was trained on"):
        export_run(tmp_path / "checkpoint.pt", tmp_path / "out", store=tiny_store)
    with pytest.raises(InputError, match=r"presets/none\.yaml: no such file"):
        export_run(tmp_path / "checkpoint.pt", tmp_path / "out", preset="none")


def test_the_command_writes(tmp_path):
    trained(tmp_path / "checkpoint.pt", **TINY)
    command = [sys.executable, "-m", "cld", "export", str(tmp_path / "checkpoint.pt")]
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {str(path) for path in (tmp_path / "out").iterdir()}
    assert len(done.stdout.split()) == 3


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, capsys):
    arguments = ["export", str(tmp_path / "none.pt"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["interchange", *arguments])
    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told == f"error: {tmp_path}/none.pt: no such checkpoint; train the run first\n"
