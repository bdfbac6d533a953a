"""Checkpoints: what was saved comes back, and a bad file is one line."""

import os
import pickle
import resource
import zipfile

import pytest
import torch

from cld.methods import build_method
from cld.runtime.errors import InputError
from cld.training.checkpoint import load_checkpoint, load_encoder, save_checkpoint


@pytest.fixture
def content():
    torch.manual_seed(0)
    return {
        "config": {"seed": 1, "views": [1, None]},
        "method": {"w": torch.randn(50, 50)},
        "rows": [{"loss": 0.1}],
    }


@pytest.fixture
def saved(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, content)
    return path


def test_brings_back_what_was_saved(saved, content):
    loaded = load_checkpoint(saved)
    assert loaded["config"] == content["config"]
    assert loaded["rows"] == content["rows"]
    assert torch.equal(loaded["method"]["w"], content["method"]["w"])


def test_a_failed_write_keeps_the_last_file(saved, content):
    with pytest.raises((pickle.PicklingError, AttributeError)):
        save_checkpoint(saved, {"method": lambda: None})
    assert torch.equal(load_checkpoint(saved)["method"]["w"], content["method"]["w"])
    assert [path.name for path in saved.parent.iterdir()] == ["checkpoint.pt"]


def test_tensors_that_share_memory_are_stored_once(tmp_path, content):
    save_checkpoint(tmp_path / "one.pt", content)
    save_checkpoint(tmp_path / "two.pt", content | {"encoder": content["method"]})
    assert (tmp_path / "two.pt").stat().st_size < 1.2 * (tmp_path / "one.pt").stat().st_size


def test_a_missing_file_says_to_train_first(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt: no such checkpoint; train the run first"):
        load_checkpoint(tmp_path / "none.pt")


@pytest.mark.parametrize("share", [0, 0.3, 0.99])
def test_a_truncated_file_is_one_line(saved, share):
    size = saved.stat().st_size
    os.truncate(saved, int(size * share))
    with pytest.raises(InputError, match=r"checkpoint\.pt: cannot be read \(.*\); delete it") as error:
        load_checkpoint(saved)
    assert "\n" not in str(error.value)


def test_a_flipped_byte_is_never_taken_for_good(saved, content):
    whole, refused = saved.read_bytes(), 0
    for position in range(0, len(whole), 97):
        saved.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            loaded = load_checkpoint(saved)
        except InputError as error:
            assert "\n" not in str(error)
            refused += 1
        else:  # padding, or a field of the archive that nobody reads
            assert torch.equal(loaded["method"]["w"], content["method"]["w"])
            assert loaded["config"] == content["config"]
    assert refused > len(whole) // 97 // 2


def test_a_foreign_file_is_refused(tmp_path):
    torch.save({"state_dict": {"w": torch.zeros(1)}}, tmp_path / "foreign.pt")
    with pytest.raises(InputError, match="not a cld-checkpoint of version 1"):
        load_checkpoint(tmp_path / "foreign.pt")


def test_code_in_a_file_is_not_run(tmp_path):
    class Malice:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "was_run"),))

    torch.save({"format": "cld-checkpoint", "version": 1, "config": Malice()}, tmp_path / "bad.pt")
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(tmp_path / "bad.pt")
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_encoder_comes_back_without_the_rest(tmp_path, tiny_run, precision):
    config = tiny_run("moco", {"precision": precision})
    method = build_method(config, 20)
    save_checkpoint(tmp_path / "run.pt", {"config": config, "encoder": method.encoder.state_dict()})
    encoder, loaded = load_encoder(tmp_path / "run.pt")
    images = torch.randn(6, 3, 8, 8)
    method.eval()
    method.encoder.precision = "fp32"
    assert loaded == config
    assert not encoder.training
    assert torch.equal(encoder(images), method.encoder(images))
    assert encoder(images).dtype == torch.float32
    torch.testing.assert_close(encoder(images).norm(dim=1), torch.ones(6))
    assert torch.equal(encoder.backbone(images), method.encoder.backbone(images))


def test_a_disk_that_fills_while_a_checkpoint_is_written_is_one_line(saved, content):
    before, limits = saved.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"checkpoint\.pt: cannot be written \(.*\); free some space"):
            save_checkpoint(saved, {**content, "more": torch.zeros(10**5)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved.read_bytes() == before and os.listdir(saved.parent) == ["checkpoint.pt"]


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), OSError(37, "No locks"), MemoryError("8 GB")]
)
def test_a_good_checkpoint_is_not_to_be_deleted(saved, monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "testzip", fail)
    with pytest.raises(InputError, match="cannot be read") as told:
        load_checkpoint(saved)
    assert "delete" not in str(told.value)
