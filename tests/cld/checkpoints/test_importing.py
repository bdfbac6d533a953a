"""Others' checkpoints: each layout's features come back bit for bit, and the report says what was read."""

import argparse
import json
import sys
import types

import numpy as np
import pytest
import torch
from third_party import DIM, Cosines, D, linear, mlp, named, randomised, resnet10
from torch import nn
from torch.nn.functional import normalize

from cld.__main__ import main
from cld.checkpoints.importing import import_checkpoint, summary
from cld.evaluation.knn import score_knn
from cld.models.backbones import build_backbone
from cld.runtime.errors import InputError, run_command
from cld.training.checkpoint import load_encoder, save_checkpoint
from cld.training.run_id import run_id

NET, KEY = resnet10(0), resnet10(1)
CIFAR = resnet10(2, small_stem=True)
LINEAR, MLP, COSINES = linear(), mlp(), Cosines()
KINDS = {None: "none", LINEAR: "linear", MLP: "mlp", COSINES: "norm_linear"}
QUEUE = nn.BatchNorm1d(DIM, affine=False)  # stands for tensors that are no network's
SHORTCUT = {"downsample": "shortcut"}


def wanted(**changes):
    return {"preset": "demo", "dataset": "kitchen_hc", "name": "theirs", **changes}


def imported(content, folder, **changes):
    """Save ``content``, import it: the encoder, its configuration and the report."""
    path = folder / "theirs.pth"
    torch.save(content, path)
    report = import_checkpoint(path, folder / "run", **wanted(**changes))
    encoder, config = load_encoder(folder / "run" / "checkpoint.pt")
    return encoder, config, report


@torch.inference_mode()
def assert_same_features(encoder, network, head=None, side=40):
    images = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    features = network(images)
    assert features.std() > 0
    assert torch.equal(encoder.backbone(images), features)
    assert torch.equal(encoder(images), normalize(head(features) if head else features, dim=1))


def case(layout, network, head, place, modules, **beside):
    """A file that holds modules under their prefixes in its entry ``place``, and what it is read as."""
    state = {}
    for prefix, module in modules.items():
        state |= named(prefix, module, SHORTCUT if network is CIFAR else None)
    return layout, network, head, {place: state, **beside} if place else state


Q, K = "module.encoder_q.", "module.encoder_k."
COSINE_MLP = nn.Sequential(MLP[0], MLP[1], COSINES)
BYOL_MLP = nn.Sequential(MLP[0], MLP[1], MLP[0], MLP[1], MLP[2])
#: Layout, network, head and content, by what wrote the file.
LAYOUT_CASES = {
    "moco v1": case(
        *("moco", NET, LINEAR, "state_dict"),
        {Q: NET, f"{Q}fc.": LINEAR, K: KEY, f"{K}fc.": linear(3), "module.queue.": QUEUE},
        epoch=200,
        args=argparse.Namespace(lr=0.03),
    ),
    "moco v2": case("moco", NET, MLP, "state_dict", {K: KEY, Q: NET, f"{Q}fc.": MLP, "queue.": QUEUE}),
    "npid + cld, cifar": case(
        *("npid_cld", CIFAR, LINEAR, "net"),
        {"module.": CIFAR, "module.linear.": LINEAR, "module.groupDis.0.": linear(4)},
        acc=np.float64(0.8),
    ),
    "npid + cld, cifar, normlinear": case(
        "npid_cld", CIFAR, COSINES, "net", {"": CIFAR, "linear.": COSINES, "groupDis.0.": COSINES}
    ),
    "npid + cld, cifar, mlp without relu": case(
        "npid_cld", CIFAR, None, "net", {"": CIFAR, "pre_fc.0.": MLP[0], "linear.": MLP[2]}
    ),
    "moco + cld, mlp": case(
        *("npid_cld", NET, MLP, "state_dict"),
        {Q: NET, f"{Q}fc.0.": MLP[0], f"{Q}instDis.": MLP[2], f"{Q}groupDis.": linear(5), K: KEY},
    ),
    "moco + cld, normlinear": case(
        *("npid_cld", NET, COSINE_MLP, "state_dict"),
        {Q: NET, f"{Q}fc.0.": MLP[0], f"{Q}instDis.": COSINES, f"{Q}groupDis.": COSINES},
    ),
    "moco + cld, linear": case(
        "npid_cld", NET, LINEAR, "state_dict", {Q: NET, f"{Q}fc.": LINEAR, f"{Q}groupDis.": linear(5)}
    ),
    "pycontrast": case(
        *("pycontrast", NET, MLP, "model"),
        {"module.encoder.": NET, "module.head.": MLP, "module.head_jig.fc1.": linear(6)},
        model_ema=named("encoder.", KEY) | named("head.", mlp(7)),
        contrast={"memory": torch.randn(8, DIM)},
        opt=argparse.Namespace(method="InfoMin"),
    ),
    "infomin + cld": case(
        *("pycontrast", NET, MLP, "model"),
        {"encoder.": NET, "head.0.": MLP[0], "proj1.0.": MLP[2], "proj2.0.": linear(8)},
    ),
    "openselfsup moco": case(
        *("openselfsup", NET, MLP, "state_dict"),
        {"encoder_q.0.": NET, "encoder_q.1.mlp.": MLP, "encoder_k.0.": KEY, "backbone.": NET},
        meta={"epoch": 200, "mmcv_version": "1.0.3"},
    ),
    "openselfsup npid": case(
        "openselfsup", NET, LINEAR, "state_dict", {"backbone.": NET, "neck.fc.": LINEAR}, meta={}
    ),
    "openselfsup byol": case(
        *("openselfsup", NET, None, "state_dict"),
        {"online_net.0.": NET, "online_net.1.mlp.": BYOL_MLP, "target_net.0.": KEY, "backbone.": NET},
    ),
    "openselfsup released backbone": case(
        "openselfsup", NET, None, "state_dict", {"": NET}, author="OpenSelfSup"
    ),
    "lightly, sequential": case(
        *("lightly", NET, MLP, None),
        {
            "backbone.": nn.Sequential(*list(NET.children())[:-1]),
            "projection_head.layers.": MLP,
            "backbone_momentum.": nn.Sequential(*list(KEY.children())[:-1]),
            "projection_head_momentum.layers.": mlp(11),
        },
    ),
    "lightly, lightning, named": case(
        *("lightly", NET, MLP, "state_dict"),
        {"model.backbone.": NET, "model.projection_head.layers.": MLP},
    ),
    "lightly's own resnet": case(
        *("lightly", CIFAR, None, "state_dict"),
        {"backbone.": nn.Sequential(CIFAR.conv1, CIFAR.bn1, *list(CIFAR.children())[4:8])},
    ),
    "solo-learn": case(
        *("solo_learn", NET, MLP, "state_dict"),
        {"momentum_backbone.": KEY, "backbone.": NET, "projector.": MLP, "classifier.": linear(12, 100)},
    ),
    "solo-learn, old": case(
        "solo_learn", NET, None, "state_dict", {"encoder.": NET, "classifier.": linear(12, 10)}
    ),
    "torchvision": case("torchvision", NET, None, None, {"": NET, "fc.": linear(13, 1000)}),
    "torchvision, projection": case("torchvision", NET, LINEAR, None, {"": NET, "fc.": LINEAR}),
    "torch.compile and ddp": case(
        *("torchvision", NET, LINEAR, "model"),
        {"_orig_mod.module.": NET, "_orig_mod.module.fc._orig_mod.": LINEAR},
    ),
    "unknown layout": case(None, NET, None, "student", {"trunk.": NET}, teacher=named("trunk.", KEY)),
}


@pytest.mark.parametrize("name", LAYOUT_CASES)
def test_a_layouts_network_keeps_its_features(name, tmp_path):
    layout, network, head, content = LAYOUT_CASES[name]
    encoder, config, report = imported(content, tmp_path)
    assert_same_features(encoder, network, head)
    assert report["layout"] == layout
    kind = KINDS.get(head, "norm_mlp")
    assert (config["head"]["kind"], config["head"]["dim"]) == (kind, DIM if head else D)
    assert config["backbone"]["blocks"] == [1, 1, 1, 1]
    assert config["backbone"]["stem"] == ("small" if network is CIFAR else "imagenet")
    assert not report["missing_ours"]


def test_naming_the_layout_reads_the_same(tmp_path):
    layout, network, head, content = LAYOUT_CASES["openselfsup moco"]
    encoder, _, report = imported(content, tmp_path, layout=layout)
    assert_same_features(encoder, network, head)
    assert report["layout"] == layout


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_the_network_is_recognised_by_its_shapes(name, tmp_path):
    settings = {"name": name, "blocks": None, "width": 8, "stem": "imagenet"}
    network = randomised(build_backbone(settings), 50)
    encoder, config, _ = imported(network.state_dict(), tmp_path)
    assert config["backbone"] == settings
    assert_same_features(encoder, network)


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
    content = LAYOUT_CASES["moco v1"][-1]
    _, config, report = imported(content, tmp_path)
    matched, left = report["matched"], report["unmatched_theirs"]
    assert matched["backbone.layer2.0.downsample.1.bias"] == f"{Q}layer2.0.downsample.1.bias"
    assert matched["head.weight"] == f"{Q}fc.weight"
    counts = {group: found["count"] for group, found in left.items()}
    assert counts == {"encoder_k": len(KEY.state_dict()) + 2, "queue": 3}
    assert left["encoder_k"]["first"][0] == f"{K}conv1.weight"
    assert len(matched) + sum(counts.values()) == len(content["state_dict"])
    assert report["network"]["passed_over"] == ["state_dict: encoder_k."]
    assert report["file"]["beside_the_weights"] == ["state_dict", "epoch", "args"]
    assert json.loads((tmp_path / "run" / "import.json").read_text())["matched"] == matched
    line = summary(report)
    assert line.startswith("moco (state_dict: encoder_q.): resnet18 [1, 1, 1, 1], width 8, stem imagenet; ")
    assert "; head linear 32; 74 matched, unmatched theirs: encoder_k 74, queue 3, missing ours: 0" in line
    assert "\n" not in line
    assert run_id(config).startswith("kitchen_hc-imported-theirs-s0-")


def test_two_networks_of_one_shape_are_two_runs(tmp_path):
    runs = {run_id(imported(named("", network), tmp_path)[1]) for network in (NET, KEY)}
    assert len(runs) == 2


def layers(*modules):
    return nn.Sequential(*modules)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (named("fc.", linear(1, 1000)), "fc: a classifier of 1000 classes"),
        (named("fc.", linear(1, 600)), "fc: a classifier of 600 classes"),
        (named("fc.", nn.Linear(99, DIM)), "fc: its weight has shape [32, 99], ours [32, 64]"),
        (named("fc.", nn.Linear(D, D, bias=False)), "fc has no bias, so linear and norm_linear look alike"),
        ({"fc.weight": torch.zeros(D)}, "fc.weight [64] is no linear layer's"),
        ({}, "it has no projection head"),
        (layers(nn.Linear(D, 48), nn.ReLU(), nn.Linear(24, DIM)), "its 2.weight has shape [32, 24], ours"),
        (layers(nn.Linear(D, 64, bias=False), nn.ReLU(), nn.Linear(64, DIM)), "it has no 0.bias"),
        (layers(*MLP, nn.ReLU(), nn.Linear(DIM, DIM)), "has projector.4"),
    ],
)
def test_a_head_that_is_none_of_ours_is_left_and_named(head, why, tmp_path):
    is_mlp = isinstance(head, nn.Module)
    content = named("backbone.", NET) | named("projector.", head) if is_mlp else named("", NET) | head
    _, config, report = imported(content, tmp_path)
    assert (config["head"]["kind"], config["head"]["dim"]) == ("none", D)
    assert why in report["head"]["why"]


WIDE = randomised(layers(nn.Linear(D, 1024), nn.ReLU(), nn.Linear(1024, DIM)), 40)
NORMED = randomised(layers(nn.Linear(D, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, DIM)), 41)


@pytest.mark.parametrize(
    ("prefix", "place", "head", "kind", "hidden"),
    [
        ("backbone.", "projector.", WIDE, "mlp", 1024),
        ("backbone.", "projector.", NORMED, "mlp_bn", 48),
        ("online_net.0.", "online_net.1.mlp.", NORMED, "mlp_bn", 48),
    ],
)
def test_a_wider_hidden_layer_and_batch_normalisation_are_read(prefix, place, head, kind, hidden, tmp_path):
    encoder, config, report = imported(named(prefix, NET) | named(place, head), tmp_path)
    assert config["head"] == {"kind": kind, "dim": DIM, "hidden": hidden, "shared_hidden": False}
    assert_same_features(encoder, NET, head)
    assert not report["unmatched_theirs"]


def test_the_head_can_be_left(tmp_path):
    _, network, _, content = LAYOUT_CASES["moco v2"]
    encoder, _, _ = imported(content, tmp_path, overrides={"head.kind": "none", "temperature": 0.2})
    assert_same_features(encoder, network)


def test_the_stride_of_a_small_stem_is_asked_for(tmp_path):
    _, _, report = imported(named("", CIFAR), tmp_path)
    assert "backbone.stem=small_stride2" in " ".join(report["notes"])
    asked = {"backbone.stem": "small_stride2"}
    encoder, config, report = imported(named("", CIFAR), tmp_path, overrides=asked)
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
    report = import_checkpoint(with_memory_bank(), tmp_path / "run", **wanted())
    assert_same_features(load_encoder(tmp_path / "run" / "checkpoint.pt")[0], CIFAR)
    assert report["layout"] == "npid_cld"


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_module_in_an_old_pytorch_s_file_is_one_line(with_memory_bank, tmp_path):
    path = with_memory_bank(_use_new_zipfile_serialization=False)
    refused(path, tmp_path, "holds a whole module, saved by an old PyTorch, .* save the weights alone")


def test_files_of_an_old_pytorch_are_read(tmp_path):
    torch.save({"state_dict": named("", NET)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    import_checkpoint(tmp_path / "old.pth", tmp_path / "run", **wanted())
    assert_same_features(load_encoder(tmp_path / "run" / "checkpoint.pt")[0], NET)


class Unknown:
    """Stands for an object of code that is not available."""


def changed(name, value):
    return named("", NET) | {name: value}


def without(name):
    return {key: tensor for key, tensor in named("", NET).items() if key != name}


BAD = {
    "a list": ([torch.zeros(1)], "holds a list, not a dictionary of weights; save"),
    "no weights": ({"epoch": 3}, r"holds no weights \(only epoch\); name"),
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
        r"names without prefix is none of ours: it has no layer3\.0\.bn1\.bias",
    ),
    "three stages": (
        {f"module.{name}": tensor for name, tensor in named("", NET).items() if "layer4" not in name},
        r"it has no layer4; what can be read are ResNets of four stages .* ResNet-18, 34, 50, …$",
    ),
    "a layer more": (changed("layer1.0.se.weight", torch.zeros(3)), r"it has layer1\.0\.se\.weight, a layer"),
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
        import_checkpoint(path, folder / "run", **wanted(**changes))
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
        ({"layout": "moco"}, r"no network fits --layout moco; it has names without prefix"),
        ({"prefix": "x."}, r"no network fits --prefix 'x\.'; it has names without prefix"),
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


def cld_import(monkeypatch, file, run):
    options = ["--preset", "demo", "--dataset", "kitchen_hc", "--name", "theirs", "--run-dir", str(run)]
    monkeypatch.setattr(sys, "argv", ["cld", "import", str(file), *options, "temperature=0.2"])
    run_command(main)


def test_the_command_imports_and_the_protocol_scores(tmp_path, tiny_store, monkeypatch, capsys):
    torch.save(named("", CIFAR), tmp_path / "theirs.pth")
    cld_import(monkeypatch, tmp_path / "theirs.pth", tmp_path / "run")
    printed = capsys.readouterr().out
    assert printed.startswith(
        "torchvision (names without prefix): resnet18 [1, 1, 1, 1], width 8, stem small;"
    )
    assert printed.count("\n") == 1
    settings = {"k": 5, "temperature": None, "split": "test"}
    score = score_knn(tiny_store, settings, tmp_path / "run/checkpoint.pt", "cpu")
    assert score["run"].startswith("kitchen_hc-imported-theirs-s0-")
    assert score["settings"]["temperature"] == 0.2
