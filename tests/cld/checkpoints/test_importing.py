"""Others' checkpoints: each layout's features come back bit for bit, and the report says what was read."""

import argparse
import json
import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from third_party import DIM, Cosines, D, linear, mlp, named, randomised, resnet10, sequential
from torch import nn
from torch.nn.functional import normalize
from torchvision.models import resnet18, resnet50

from cld.__main__ import main
from cld.checkpoints.importing import Wanted, import_checkpoint, summary
from cld.evaluation.knn import score_knn
from cld.run_id import run_id
from cld.runtime.errors import InputError, run_command
from cld.training.checkpoint import load_encoder, save_checkpoint

SHORTCUT = {"downsample": "shortcut"}
NET, KEY = resnet10(0), resnet10(1)
CIFAR = resnet10(2, small_stem=True)
LINEAR, MLP, COSINES = linear(), mlp(), Cosines()


def wanted(**changes):
    return Wanted(**{"preset": "demo", "dataset": "kitchen_hc", "name": "theirs", **changes})


def imported(content, folder, **changes):
    """Save ``content``, import it: the encoder, its configuration and the report."""
    path = folder / "theirs.pth"
    torch.save(content, path)
    report = import_checkpoint(path, wanted(**changes), folder / "run")
    encoder, config = load_encoder(folder / "run" / "checkpoint.pt")
    return encoder, config, report


@torch.inference_mode()
def assert_same_features(encoder, network, head=None, side=40):
    images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    features = network(images)
    assert features.std() > 0
    assert torch.equal(encoder.backbone(images), features)
    assert torch.equal(encoder(images), normalize(head(features) if head else features, dim=1))


QUEUE = {"module.queue": torch.randn(DIM, 8), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
DDP = "module.encoder_q."


def two_layers(first, second):
    """An MLP whose two layers stand under different names."""
    return named(first, MLP[0]) | named(second, MLP[2])


# name: (content, network, head, layout, kind of head)
LAYOUT_CASES = {
    "moco v1": (
        {
            "epoch": 200,
            "arch": "resnet10",
            "args": argparse.Namespace(lr=0.03),
            "state_dict": named(DDP, NET)
            | named(DDP + "fc.", LINEAR)
            | named("module.encoder_k.", KEY)
            | named("module.encoder_k.fc.", linear(3))
            | QUEUE,
        },
        NET,
        LINEAR,
        "moco",
        "linear",
    ),
    "moco v2": (
        {"state_dict": named("module.encoder_k.", KEY) | named(DDP, NET) | named(DDP + "fc.", MLP) | QUEUE},
        NET,
        MLP,
        "moco",
        "mlp",
    ),
    "npid + cld, cifar": (
        {
            "net": named("module.", CIFAR, SHORTCUT)
            | named("module.linear.", LINEAR)
            | named("module.groupDis.0.", linear(4)),
            "acc": np.float64(0.8),
            "epoch": 199,
        },
        CIFAR,
        LINEAR,
        "npid_cld",
        "linear",
    ),
    "npid + cld, cifar, normlinear": (
        {"net": named("", CIFAR, SHORTCUT) | named("linear.", COSINES) | named("groupDis.0.", COSINES)},
        CIFAR,
        COSINES,
        "npid_cld",
        "norm_linear",
    ),
    "npid + cld, cifar, mlp without relu": (
        {"net": named("", CIFAR, SHORTCUT) | two_layers("pre_fc.0.", "linear.")},
        CIFAR,
        None,
        "npid_cld",
        "none",
    ),
    "moco + cld, mlp": (
        {
            "state_dict": named(DDP, NET)
            | two_layers(DDP + "fc.0.", DDP + "instDis.")
            | named(DDP + "groupDis.", linear(5))
            | named("module.encoder_k.", KEY)
        },
        NET,
        MLP,
        "npid_cld",
        "mlp",
    ),
    "moco + cld, normlinear": (
        {
            "state_dict": named(DDP, NET)
            | named(DDP + "fc.0.", MLP[0])
            | named(DDP + "instDis.", COSINES)
            | named(DDP + "groupDis.", COSINES)
        },
        NET,
        nn.Sequential(MLP[0], MLP[1], COSINES),
        "npid_cld",
        "norm_mlp",
    ),
    "moco + cld, linear": (
        {"state_dict": named(DDP, NET) | named(DDP + "fc.", LINEAR) | named(DDP + "groupDis.", linear(5))},
        NET,
        LINEAR,
        "npid_cld",
        "linear",
    ),
    "pycontrast": (
        {
            "model": named("module.encoder.", NET)
            | named("module.head.", MLP)
            | named("module.head_jig.fc1.", linear(6)),
            "model_ema": named("encoder.", KEY) | named("head.", mlp(7)),
            "contrast": {"memory": torch.randn(8, DIM)},
            "opt": argparse.Namespace(method="InfoMin"),
        },
        NET,
        MLP,
        "pycontrast",
        "mlp",
    ),
    "infomin + cld": (
        {
            "model": named("module.encoder.", NET)
            | two_layers("module.head.0.", "module.proj1.0.")
            | named("module.proj2.0.", linear(8))
        },
        NET,
        MLP,
        "pycontrast",
        "mlp",
    ),
    "openselfsup moco": (
        {
            "meta": {"epoch": 200, "mmcv_version": "1.0.3"},
            "state_dict": named("encoder_q.0.", NET)
            | named("encoder_q.1.mlp.", MLP)
            | named("encoder_k.0.", KEY)
            | named("encoder_k.1.mlp.", mlp(9))
            | named("backbone.", NET),
        },
        NET,
        MLP,
        "openselfsup",
        "mlp",
    ),
    "openselfsup npid": (
        {"meta": {}, "state_dict": named("backbone.", NET) | named("neck.fc.", LINEAR)},
        NET,
        LINEAR,
        "openselfsup",
        "linear",
    ),
    "openselfsup byol": (
        {
            "state_dict": named("online_net.0.", NET)
            | named("online_net.1.mlp.", nn.Sequential(MLP[0], MLP[1], MLP[0], MLP[1], MLP[2]))
            | named("target_net.0.", KEY)
            | named("backbone.", NET)
        },
        NET,
        None,
        "openselfsup",
        "none",
    ),
    "openselfsup released backbone": (
        {"state_dict": named("", NET), "author": "OpenSelfSup"},
        NET,
        None,
        "openselfsup",
        "none",
    ),
    "lightly, sequential": (
        sequential("backbone.", NET)
        | named("projection_head.layers.", MLP)
        | sequential("backbone_momentum.", KEY)
        | named("projection_head_momentum.layers.", mlp(11)),
        NET,
        MLP,
        "lightly",
        "mlp",
    ),
    "lightly, lightning, named": (
        {
            "pytorch-lightning_version": "2.1",
            "state_dict": named("model.backbone.", NET) | named("model.projection_head.layers.", MLP),
        },
        NET,
        MLP,
        "lightly",
        "mlp",
    ),
    "lightly's own resnet": (
        {
            "state_dict": named(
                "backbone.",
                nn.Sequential(CIFAR.conv1, CIFAR.bn1, CIFAR.layer1, CIFAR.layer2, CIFAR.layer3, CIFAR.layer4),
                SHORTCUT,
            )
        },
        CIFAR,
        None,
        "lightly",
        "none",
    ),
    "solo-learn": (
        {
            "state_dict": named("momentum_backbone.", KEY)
            | named("backbone.", NET)
            | named("projector.", MLP)
            | named("classifier.", linear(12, 100)),
        },
        NET,
        MLP,
        "solo_learn",
        "mlp",
    ),
    "solo-learn, old": (
        {"state_dict": named("encoder.", NET) | named("classifier.", linear(12, 10))},
        NET,
        None,
        "solo_learn",
        "none",
    ),
    "torchvision": (
        named("", NET) | named("fc.", linear(13, 1000)),
        NET,
        None,
        "torchvision",
        "none",
    ),
    "torchvision, projection": (named("", NET) | named("fc.", LINEAR), NET, LINEAR, "torchvision", "linear"),
    "torch.compile and ddp": (
        {"model": named("_orig_mod.module.", NET) | named("_orig_mod.module.fc._orig_mod.", LINEAR)},
        NET,
        LINEAR,
        "torchvision",
        "linear",
    ),
    "unknown layout": (
        {"student": named("trunk.", NET), "teacher": named("trunk.", KEY)},
        NET,
        None,
        None,
        "none",
    ),
}


@pytest.mark.parametrize("case", LAYOUT_CASES)
def test_a_layouts_network_keeps_its_features(case, tmp_path):
    content, network, head, layout, kind = LAYOUT_CASES[case]
    encoder, config, report = imported(content, tmp_path)
    assert_same_features(encoder, network, head)
    assert (report["layout"], config["head"]["kind"]) == (layout, kind)
    assert config["head"]["dim"] == (DIM if head else D)
    assert config["backbone"]["blocks"] == [1, 1, 1, 1]
    assert config["backbone"]["stem"] == ("small" if network is CIFAR else "imagenet")
    assert not report["missing_ours"]


@pytest.mark.parametrize("case", ["moco v1", "npid + cld, cifar", "openselfsup moco", "lightly, sequential"])
def test_naming_the_layout_reads_the_same(case, tmp_path):
    content, network, head, layout, _ = LAYOUT_CASES[case]
    encoder, _, report = imported(content, tmp_path, layout=layout)
    assert_same_features(encoder, network, head)
    assert report["layout"] == layout


@pytest.mark.parametrize(("build", "name"), [(resnet18, "resnet18"), (resnet50, "resnet50")])
def test_the_whole_network_is_recognised(build, name, tmp_path):
    network = build().eval()
    encoder, config, _ = imported(network.state_dict(), tmp_path)
    network.fc = nn.Identity()
    assert_same_features(encoder, network, side=64)
    assert config["backbone"] == {"name": name, "blocks": None, "width": 64, "stem": "imagenet"}


def test_safetensors_are_read(tmp_path):
    save_file(named("", NET), tmp_path / "theirs.safetensors")
    import_checkpoint(tmp_path / "theirs.safetensors", wanted(), tmp_path / "run")
    assert_same_features(load_encoder(tmp_path / "run" / "checkpoint.pt")[0], NET)


def test_half_precision_and_old_files_without_counters_are_read(tmp_path):
    state = {name: tensor.half() for name, tensor in named("", NET).items() if "num_batches" not in name}
    encoder, _, report = imported(state, tmp_path)
    reference = resnet10(0)
    reference.load_state_dict(state, strict=False)
    assert_same_features(encoder, reference)
    assert report["missing_ours"]["backbone.bn1"] == {
        "count": 1,
        "first": ["backbone.bn1.num_batches_tracked"],
    }


def test_the_report_accounts_for_every_tensor(tmp_path):
    content = LAYOUT_CASES["moco v1"][0]
    _, config, report = imported(content, tmp_path)
    matched, left = report["matched"], report["unmatched_theirs"]
    assert matched["backbone.layer2.0.downsample.1.bias"] == DDP + "layer2.0.downsample.1.bias"
    assert matched["head.weight"] == DDP + "fc.weight"
    assert {group: found["count"] for group, found in left.items()} == {
        "encoder_k": len(KEY.state_dict()) + 2,
        "queue": 1,
        "queue_ptr": 1,
    }
    assert left["encoder_k"]["first"][0] == "module.encoder_k.conv1.weight"
    assert len(matched) + sum(found["count"] for found in left.values()) == len(content["state_dict"])
    assert report["network"]["passed_over"] == ["state_dict: encoder_k."]
    assert report["file"]["beside_the_weights"] == ["epoch", "arch", "args", "state_dict"]
    assert json.loads((tmp_path / "run" / "import.json").read_text())["matched"] == matched
    line = summary(report)
    assert line.startswith("moco (state_dict: encoder_q.): resnet18 [1, 1, 1, 1], width 8, stem imagenet; ")
    assert "; head linear 32; 74 matched, unmatched theirs: encoder_k 74, queue 1, queue_ptr 1" in line
    assert "\n" not in line
    assert run_id(config).startswith("kitchen_hc-imported-theirs-s0-")


def test_two_networks_of_one_shape_are_two_runs(tmp_path):
    runs = {run_id(imported(named("", network), tmp_path)[1]) for network in (NET, KEY)}
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (named("fc.", linear(1, 1000)), "fc: a classifier of 1000 classes"),
        (named("fc.", linear(1, 600)), "fc: a classifier of 600 classes"),
        ({"fc.weight": torch.randn(DIM, 99), "fc.bias": torch.randn(DIM)}, "takes no 64 features"),
        ({"fc.weight": torch.randn(D, D)}, "fc has no bias, so linear and norm_linear look alike"),
        ({}, "it has no projection head"),
    ],
)
def test_a_head_that_is_none_of_ours_is_left_and_named(head, why, tmp_path):
    _, config, report = imported(named("", NET) | head, tmp_path)
    assert (config["head"]["kind"], config["head"]["dim"]) == ("none", D)
    assert why in report["head"]["why"]


def test_a_hidden_layer_may_be_wider(tmp_path):
    wide = randomised(nn.Sequential(nn.Linear(D, 1024), nn.ReLU(), nn.Linear(1024, DIM)), 40)
    encoder, config, _ = imported(named("backbone.", NET) | named("projector.", wide), tmp_path)
    assert config["head"] == {"kind": "mlp", "dim": DIM, "hidden": 1024}
    assert_same_features(encoder, NET, wide)


@pytest.mark.parametrize(
    ("prefix", "place"), [("online_net.0.", "online_net.1.mlp."), ("backbone.", "projector.")]
)
def test_a_head_with_batch_normalisation_is_read(prefix, place, tmp_path):
    layers = nn.Sequential(nn.Linear(D, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, DIM))
    head = randomised(layers, 41)
    encoder, config, report = imported(named(prefix, NET) | named(place, head), tmp_path)
    assert config["head"] == {"kind": "mlp_bn", "dim": DIM, "hidden": 48}
    assert_same_features(encoder, NET, head)
    assert not report["unmatched_theirs"]


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ([nn.Linear(D, 48), nn.ReLU(), nn.Linear(24, DIM)], "takes no 48 features"),
        ([nn.Linear(D, 64, bias=False), nn.ReLU(), nn.Linear(64, DIM)], "has no bias"),
        (
            [nn.Linear(D, 64), nn.ReLU(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, DIM)],
            "has projector.4.weight",
        ),
    ],
)
def test_an_mlp_that_is_none_of_ours_is_left_and_named(layers, why, tmp_path):
    state = named("backbone.", NET) | named("projector.", nn.Sequential(*layers))
    _, config, report = imported(state, tmp_path)
    assert config["head"]["kind"] == "none"
    assert why in report["head"]["why"]


def test_the_head_can_be_left(tmp_path):
    content, network, *_ = LAYOUT_CASES["moco v2"]
    encoder, _, _ = imported(content, tmp_path, overrides={"head.kind": "none", "temperature": 0.2})
    assert_same_features(encoder, network)


def test_the_stride_of_a_small_stem_is_asked_for(tmp_path):
    _, _, report = imported(named("", CIFAR), tmp_path)
    assert "backbone.stem=small_stride2" in " ".join(report["notes"])
    encoder, config, report = imported(
        named("", CIFAR), tmp_path, overrides={"backbone.stem": "small_stride2"}
    )
    assert config["backbone"]["stem"] == "small_stride2"
    assert encoder.backbone.conv1.stride == (2, 2)
    assert not report["notes"]


def test_a_prefix_chooses_between_networks(tmp_path):
    content = named("left.", NET) | named("right.", KEY)
    assert_same_features(imported(content, tmp_path, prefix="right.")[0], KEY)
    assert_same_features(imported(content, tmp_path, prefix="left.")[0], NET)


@pytest.fixture
def with_memory_bank(tmp_path, monkeypatch):
    """A checkpoint as the published CIFAR code writes it: with its memory bank, a module of its own."""

    class LinearAverage(nn.Module):
        def __setstate__(self, state):
            raise AssertionError("code of the file was run")

    LinearAverage.__module__, LinearAverage.__qualname__ = "lib.LinearAverage", "LinearAverage"

    def write(**how):
        for name in ("lib", "lib.LinearAverage"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        sys.modules["lib.LinearAverage"].LinearAverage = LinearAverage
        bank = LinearAverage()
        bank.register_buffer("memory", torch.randn(8, DIM))
        content = {"net": named("module.", CIFAR, SHORTCUT), "lemniscate": bank, "acc": 0.8, "epoch": 1}
        torch.save(content, tmp_path / "ckpt.t7", **how)
        for name in ("lib", "lib.LinearAverage"):
            monkeypatch.delitem(sys.modules, name)
        return tmp_path / "ckpt.t7"

    return write


def test_the_authors_memory_bank_needs_no_code_of_theirs(with_memory_bank, tmp_path):
    report = import_checkpoint(with_memory_bank(), wanted(), tmp_path / "run")
    assert_same_features(load_encoder(tmp_path / "run" / "checkpoint.pt")[0], CIFAR)
    assert report["layout"] == "npid_cld"


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_module_in_an_old_pytorch_s_file_is_one_line(with_memory_bank, tmp_path):
    path = with_memory_bank(_use_new_zipfile_serialization=False)
    refused(path, tmp_path, "holds a whole module, saved by an old PyTorch, .* save the weights alone")


def test_files_of_an_old_pytorch_are_read(tmp_path):
    torch.save({"state_dict": named("", NET)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    import_checkpoint(tmp_path / "old.pth", wanted(), tmp_path / "run")
    assert_same_features(load_encoder(tmp_path / "run" / "checkpoint.pt")[0], NET)


class Unknown:
    """Stands for an object of code that is not at hand."""


def changed(name, value):
    return named("", NET) | {name: value}


def without(name):
    return {key: tensor for key, tensor in named("", NET).items() if key != name}


BAD = {
    "a list": ([torch.zeros(1)], "holds a list, not a dictionary of weights; save"),
    "no weights": ({"epoch": 3}, r"holds no weights \(only epoch\); name"),
    "nothing": ({}, r"holds no weights \(only nothing\)"),
    "code": (
        {"state_dict": named("", NET), "x": Unknown()},
        r"holds a \w*test_importing\.Unknown, which cannot",
    ),
    "no resnet": (
        {"state_dict": {"features.0.bias": torch.zeros(3)}},
        r"no ResNet inside; its 1 tensors are features\.0\.bias",
    ),
    "another network": (
        {"features.0.weight": torch.zeros(64, 3, 3, 3)},
        r"under features\. is none of ours: it has no layer1",
    ),
    "a tensor missing": (
        without("layer3.0.bn1.bias"),
        r"bare names is none of ours: it has no layer3\.0\.bn1\.bias",
    ),
    "a layer more": (changed("layer1.0.se.weight", torch.zeros(3)), r"it has layer1\.0\.se\.weight, a layer"),
    "a stage more": (changed("layer5.0.conv1.weight", torch.zeros(3)), r"it has layer5\.0\.conv1\.weight"),
    "a wrong shape": (
        changed("layer2.0.conv1.weight", torch.zeros(16, 4, 3, 3)),
        r"layer2\.0\.conv1\.weight has shape \[16, 4, 3, 3\], ours \[16, 8, 3, 3\]",
    ),
    "a wrong stem": (changed("conv1.weight", torch.zeros(8, 3, 5, 5)), "first convolution is 5x5; ours are"),
    "nan": (changed("bn1.bias", torch.full((8,), torch.nan)), r"backbone\.bn1\.bias is not finite"),
    "quantised": (
        changed("bn1.bias", torch.zeros(8, dtype=torch.int8)),
        r"bn1\.bias is of torch\.int8; name",
    ),
    "two as good": (
        named("left.", NET) | named("right.", KEY),
        r"equally good \(left\., right\.\); choose by --prefix \('left\.', 'right\.'\)",
    ),
    "one name twice": (
        named("", NET) | {"module.bn1.bias": torch.zeros(64)},
        r"bn1\.bias and module\.bn1\.bias are one name",
    ),
}


def refused(path, folder, message, **changes):
    with pytest.raises(InputError, match=message) as error:
        import_checkpoint(path, wanted(**changes), folder / "run")
    assert "\n" not in str(error.value)
    assert not (folder / "run").exists()


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line(case, tmp_path):
    content, message = BAD[case]
    torch.save(content, tmp_path / "theirs.pth")
    refused(tmp_path / "theirs.pth", tmp_path, r"theirs\.pth: .*" + message)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"neither", b"PK\x03\x04 and no more"])
def test_a_file_that_is_no_checkpoint_is_one_line(suffix, content, tmp_path):
    path = tmp_path / f"theirs.{suffix}"
    path.write_bytes(content)
    refused(path, tmp_path, r"theirs\.\w+: not a (checkpoint|safetensors file) \(.*\); fetch it again")


def test_damage_is_found(tmp_path):
    path = tmp_path / "theirs.pth"
    torch.save(named("", NET), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    refused(path, tmp_path, "wrong checksum of")


def test_a_runs_own_checkpoint_is_named_as_such(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.pt", {"config": {}})
    refused(tmp_path / "checkpoint.pt", tmp_path, "is a run's checkpoint already")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "mocco"}, r"--layout mocco: unknown; choose one of auto, npid_cld, moco,"),
        ({"layout": "moco"}, r"no network fits --layout moco; it has bare names"),
        ({"prefix": "x."}, r"no network fits --prefix 'x\.'; it has bare names"),
        ({"name": "A name"}, r"--name 'A name': give lower-case letters"),
        ({"overrides": {"backbone.width": 32}}, r"backbone\.width: is read from the file"),
        ({"overrides": {"head.kind": "mlp"}}, r"head\.kind: is read from the file"),
        ({"overrides": {"backbone.stem": "small"}}, r"backbone\.stem small: .* makes it imagenet"),
        ({"overrides": {"temprature": 1}}, r"unknown key 'temprature'"),
        ({"overrides": {"temperature": -1}}, r"temperature: "),
        ({"dataset": "none"}, r"none\.yaml: no such file"),
    ],
)
def test_a_bad_wish_is_one_line(changes, message, tmp_path):
    torch.save(named("", NET), tmp_path / "theirs.pth")
    refused(tmp_path / "theirs.pth", tmp_path, message, **changes)


def interchange(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["interchange", *map(str, arguments)])
    run_command(main)


OPTIONS = ["--preset", "demo", "--dataset", "kitchen_hc", "--name", "theirs", "--run-dir"]


def test_the_command_imports_and_the_protocol_scores(tmp_path, tiny_store, monkeypatch, capsys):
    torch.save(named("", CIFAR), tmp_path / "theirs.pth")
    run = tmp_path / "run"
    interchange(monkeypatch, "import", tmp_path / "theirs.pth", *OPTIONS, run, "temperature=0.2")
    told = capsys.readouterr().out
    assert told.startswith("torchvision (bare names): resnet18 [1, 1, 1, 1], width 8, stem small;")
    assert told.count("\n") == 1
    settings = {"k": 5, "temperature": None, "split": "test"}
    score = score_knn(tiny_store, settings, run / "checkpoint.pt", "cpu")
    assert score["run"].startswith("kitchen_hc-imported-theirs-s0-")
    assert score["settings"]["temperature"] == 0.2


def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        interchange(monkeypatch, "import", tmp_path / "none.pth", *OPTIONS, tmp_path / "run")
    assert end.value.code == 2
    assert (
        capsys.readouterr().err == f"error: {tmp_path}/none.pth: no such file; name a checkpoint to import\n"
    )
