"""``precision: auto``: what it is on which hardware, that a run keeps it, and what stays in float32."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from trainings import interrupted

from cld.config import load_run
from cld.methods import METHODS, build_method
from cld.runtime.errors import InputError
from cld.training import loop, precision
from cld.training.checkpoint import load_checkpoint, trained_by
from cld.training.precision import native_precision
from cld.training.run_id import run_id


@pytest.mark.parametrize(
    ("capability", "native"), [((6, 1), "fp32"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")]
)
def test_a_gpus_own_precision(monkeypatch, capability, native):
    def has_bf16(including_emulation=True):
        return including_emulation or capability >= (8, 0)  # PyTorch emulates bf16 on older GPUs

    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", has_bf16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert native_precision(torch.device("cuda:0")) == native


@pytest.mark.parametrize(
    ("flags", "native"),
    [("avx512f avx512_bf16", "bf16"), ("amx_bf16 amx_tile", "bf16"), ("avx2 avx512f", "fp32"), ("", "fp32")],
)
def test_a_cpus_own_precision(monkeypatch, flags, native):
    monkeypatch.setattr(precision, "cpu_flags", lambda: set(flags.split()))
    assert native_precision(torch.device("cpu")) == native


def test_the_paper_preset_asks_for_it_and_the_demo_computes_in_fp32():
    assert load_run("paper", "imagenet100", "npid")["precision"] == "auto"
    assert load_run("demo", "kitchen_hc", "npid")["precision"] == "fp32"


@pytest.fixture
def cpu(monkeypatch):
    """``cpu("bf16")``: a CPU with units for bf16, and ``cpu("fp32")`` one without."""

    def set_native(native):
        flags = {"avx512_bf16"} if native == "bf16" else set()
        monkeypatch.setattr(precision, "cpu_flags", lambda: flags)

    return set_native


def test_what_it_was_is_recorded_and_the_identity_has_what_was_asked(
    tiny_run, tiny_store, tmp_path, cpu, capsys
):
    config = tiny_run("npid", {"precision": "auto"})
    for native in ("fp32", "bf16"):
        cpu(native)
        path = loop.train(config, tiny_store, tmp_path / native, "cpu")
        checkpoint = load_checkpoint(path)
        assert checkpoint["config"]["precision"] == "auto"
        assert checkpoint["provenance"]["precision"] == trained_by(path)["precision"] == native
        first = capsys.readouterr().err.splitlines()[0]
        assert first == f"begins {native} on cpu ({checkpoint['provenance']['device']}), in {native}"
    assert run_id(config) != run_id(tiny_run("npid", {"precision": "bf16"}))


def test_a_run_keeps_its_precision_or_is_refused(tiny_run, tiny_store, tmp_path, cpu, capsys):
    config = tiny_run("npid", {"precision": "auto"})
    cpu("fp32")
    whole = load_checkpoint(loop.train(config, tiny_store, tmp_path / "whole", "cpu"))
    with interrupted(6):
        loop.train(config, tiny_store, tmp_path / "begun_in_fp32", "cpu")
    cpu("bf16")
    capsys.readouterr()
    resumed = load_checkpoint(loop.train(config, tiny_store, tmp_path / "begun_in_fp32", "cpu"))
    assert capsys.readouterr().err.splitlines()[0].endswith("in fp32")
    assert all(torch.equal(value, whole["method"][name]) for name, value in resumed["method"].items())

    with interrupted(6):
        loop.train(config, tiny_store, tmp_path / "begun_in_bf16", "cpu")
    cpu("fp32")
    with pytest.raises(
        InputError, match=r"partial\.pt: this run began in bf16 .*start afresh in fp32"
    ) as refused:
        loop.train(config, tiny_store, tmp_path / "begun_in_bf16", "cpu")
    assert "\n" not in str(refused.value)
    assert load_checkpoint(tmp_path / "begun_in_bf16/partial.pt")["step"] == 5


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("clustering", ["kmeans", "spectral"])
def test_convolutions_compute_in_bf16_and_heads_losses_and_groups_in_float32(tiny_run, method, clustering):
    network = build_method(tiny_run(method, {"precision": "bf16", "cld.clustering": clustering}), 20).train()
    seen = {}

    def record(module, _, output):
        seen.setdefault(type(module).__name__, set()).add(output.dtype)

    heads = [each for each in network.modules() if isinstance(each, nn.Linear)]
    for module in [*heads, *(each for each in network.modules() if isinstance(each, nn.Conv2d))]:
        module.register_forward_hook(record)
    clustered = []
    cluster = network.cluster
    network.cluster = lambda features: clustered.append(cluster(features)) or clustered[-1]
    step = network([torch.randn(8, 3, 8, 8) for _ in range(3)], torch.arange(8))
    assert seen == {"Conv2d": {torch.bfloat16}, "Linear": {torch.float32}}
    assert {centroids.dtype for _, centroids in clustered} == {torch.float32}
    tensors = [step.loss, *step.logs.values(), *(part for view in step.group_inputs for part in view)]
    assert {each.dtype for each in [*tensors, *step.carry.values()]} <= {torch.float32, torch.int64}


def test_on_gpus_the_convolutions_of_fp32_are_tf32_and_the_products_of_heads_and_losses_are_not():
    """PyTorch's defaults, which the project relies on."""
    assert torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
