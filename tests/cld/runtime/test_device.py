"""A GPU that was given or is wanted is never replaced by the CPU without a word."""

import os
import subprocess
import sys

import pytest
import torch

from cld.runtime.device import GIVEN, require_given_gpus, resolve_device
from cld.runtime.errors import InputError

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """A machine without a GPU, whose job was given none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)


def test_without_a_gpu_the_cpu_computes():
    assert resolve_device(None) == resolve_device("auto") == resolve_device("cpu") == CPU


@pytest.mark.parametrize("variable", GIVEN)
def test_a_job_that_was_given_gpus_ends_if_pytorch_sees_none(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    for name in (None, "auto"):
        with pytest.raises(InputError, match=f"^{variable}=1: PyTorch .* sees no GPU here; .*--device cpu"):
            resolve_device(name)
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("value", ["", "-1", "NoDevFiles"])
def test_a_job_that_was_given_none_computes_on_the_cpu(monkeypatch, value):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert resolve_device("auto") == CPU


def test_what_wants_a_gpu_is_named():
    with pytest.raises(InputError, match=r"^a preset: PyTorch"):
        require_given_gpus("auto", wanted_by="a preset")
    require_given_gpus("cpu", wanted_by="a preset")


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["paper", "demo"])
def test_pretraining_at_the_paper_preset_needs_a_gpu_or_device_cpu(tmp_path, preset):
    """Of the commands that pass the check, the store is the next thing that is missing."""

    def error(*arguments):
        command = [sys.executable, "-m", "cld", "train", "--preset", preset, "--dataset", "kitchen_hc"]
        command += ["--method", "npid", "--store", "none.h5", "--run-dir", str(tmp_path / "run"), *arguments]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}  # also where the tests have a GPU
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 2
        return done.stderr.splitlines()[-1]

    wanted = "error: config/presets/paper.yaml: cluster.device GPU: PyTorch"
    assert error().startswith(wanted) == (preset == "paper")
    assert "none.h5" in error("--device", "cpu")
