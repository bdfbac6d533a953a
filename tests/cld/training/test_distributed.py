"""Several processes, or several parts in one: the same batch, losses and memories."""

import csv
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from processes import ENVIRONMENT, torchrun
from torch import nn

from cld.config import format_overrides, load_run
from cld.methods import METHODS
from cld.methods.shuffled_keys import encode_shuffled
from cld.runtime.errors import InputError
from cld.training.checkpoint import load_checkpoint
from cld.training.loop import start, train
from cld.training.run_id import overrides_of
from cld.training.step import Part, train_step

HERE = Path(__file__).parent
PARTS = {"optimiser.parts": 2}


def training(config: dict, store: Path, run: Path) -> list[str]:
    overrides = format_overrides(overrides_of(config, "demo"))
    command = ["-m", "cld", "train", "--preset", "demo", "--dataset", config["dataset"]]
    command += ["--method", config["method"], "--store", str(store), "--run-dir", str(run), "--device", "cpu"]
    return [*command, *overrides]


def in_two_processes(config: dict, store: Path, run: Path) -> Path:
    command = torchrun(2, *training(config, store, run))
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return run / "checkpoint.pt"


def logged(checkpoint: Path) -> list[dict]:
    with open(checkpoint.parent / "log.csv", newline="") as text:
        rows = list(csv.DictReader(text))
    return [{key: float(row[key]) for key in row if key not in ("ended", "images_per_s")} for row in rows]


def assert_same_run(ours: Path, theirs: Path) -> None:
    """The same but for the order in which sums are taken: log, weights and memories."""
    assert len(logged(ours)) == len(logged(theirs)) > 0
    for row, expected in zip(logged(ours), logged(theirs), strict=True):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-4)
    states = [load_checkpoint(path)["method"] for path in (ours, theirs)]
    for name, value in states[0].items():
        if "running_" in name or "num_batches" in name:
            continue  # one process sees both parts, the first of two its own
        torch.testing.assert_close(value, states[1][name], rtol=1e-2, atol=1e-3)


def test_collectives_synchronised_norm_and_shuffled_keys():
    done = subprocess.run(
        torchrun(2, str(HERE / "two_processes.py")), env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" passed in process ") == 10


@pytest.mark.parametrize("method", ["npid", "moco", "infomin", "byol"])
def test_two_processes_and_one_with_two_parts_train_the_same(tiny_run, tiny_store, tmp_path, method):
    config = tiny_run(method, {**PARTS, "optimiser.epochs": 2, "sync_bn": False})
    together = in_two_processes(config, tiny_store, tmp_path / "together")
    alone = train(config, tiny_store, tmp_path / "alone", "cpu")
    assert_same_run(together, alone)
    assert {path.name for path in together.parent.iterdir()} == {
        "checkpoint.pt",
        "config.yaml",
        "log.csv",
        "tb",
    }


def test_a_run_stopped_in_two_processes_goes_on_in_one(tiny_run, tiny_store, tmp_path):
    config = tiny_run("moco", {**PARTS, "optimiser.epochs": 30, "optimiser.lr": 0.001})
    run = tmp_path / "stopped"
    process = subprocess.Popen(
        torchrun(2, *training(config, tiny_store, run)), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (run / "partial.pt").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode != 0
    stopped_at = load_checkpoint(run / "partial.pt")["step"]
    assert errors.count(f"stopped: step {stopped_at} is saved in {run / 'partial.pt'}") == 1
    assert 0 < stopped_at < 120
    config |= {"checkpoint_every_s": 60}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "partial.pt").write_bytes((run / "partial.pt").read_bytes())
    one = train(config, tiny_store, tmp_path / "one", "cpu")
    two = in_two_processes(config, tiny_store, tmp_path / "two")
    assert load_checkpoint(one)["step"] == load_checkpoint(two)["step"] == 120
    ours, theirs = logged(one), logged(two)
    assert [row["epoch"] for row in ours] == [row["epoch"] for row in theirs] == [*range(1, 31)]
    resumed = stopped_at // 4 + 1  # the first epoch that differs in who computed it
    assert ours[resumed]["loss"] == pytest.approx(theirs[resumed]["loss"], rel=1e-2)


def test_processes_that_cannot_share_the_parts_are_refused(tiny_run, tiny_store, tmp_path):
    config = tiny_run("npid")
    done = subprocess.run(
        torchrun(2, *training(config, tiny_store, tmp_path)), env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "error: 2 processes cannot share the optimiser.parts 1 of a batch: start a number" in done.stderr
    assert not (tmp_path / "log.csv").exists()


def test_synchronised_norm_takes_as_many_processes_as_parts(tiny_run, tiny_store, tmp_path):
    with pytest.raises(InputError, match=r"sync_bn normalises the 2 optimiser\.parts .* start 2 processes"):
        train(tiny_run("byol", {**PARTS, "sync_bn": True}), tiny_store, tmp_path, "cpu")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"optimiser.parts": 3}, r"batch_size 8 cannot be cut into 3 equal parts"),
        ({"optimiser.parts": 8}, r"batch_size 8 cannot be cut into 8 equal parts of two images or more"),
        ({"optimiser.parts": 4}, r"cld\.n_groups 3 exceeds .*batch_size 8, of which a part has 2"),
    ],
)
def test_parts_that_do_not_fit_the_batch_are_refused(tiny_run, overrides, told):
    with pytest.raises(InputError, match=told):
        tiny_run("npid", overrides)


def test_keys_are_encoded_in_parts_of_a_shuffled_batch():
    torch.manual_seed(0)
    encode = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4))
    images = torch.randn(9, 3, 2, 2)
    torch.manual_seed(5)
    keys = encode_shuffled(encode, images, 3)
    torch.manual_seed(5)
    expected = torch.empty(9, 4)
    for part in torch.randperm(9).chunk(3):
        expected[part] = encode(images[part]).detach()
    torch.testing.assert_close(keys, expected)
    in_order = torch.cat([encode(part) for part in images.chunk(3)])
    assert not torch.allclose(keys, in_order, atol=1e-3)
    assert torch.equal(encode_shuffled(encode, images, 1), encode(images))


def test_parts_add_up_to_the_gradient_of_their_mean_loss(tiny_run):
    config = tiny_run(
        "npid", {**PARTS, "cld.weight": 0, "optimiser.momentum": 0, "optimiser.weight_decay": 0}
    )
    torch.manual_seed(1)
    views, index = [torch.randn(8, 3, 8, 8) for _ in range(2)], torch.randperm(20)[:8]
    parts = [
        Part([view[rows] for view in views], index[rows], torch.Generator())
        for rows in (slice(0, 4), slice(4, 8))
    ]
    state, slow = (start(config, "data", 20, torch.device("cpu")) for _ in range(2))
    loss = sum(slow.method(part.views, part.index).loss for part in parts) / 2
    loss.backward()
    before = [weights.detach().clone() for weights in state.method.parameters()]
    train_step(state, state.method, parts, lr=0.1, progress=0.0)
    assert state.sums["loss"].item() == pytest.approx(loss.item(), rel=1e-6)
    for ours, old, theirs in zip(state.method.parameters(), before, slow.method.parameters(), strict=True):
        torch.testing.assert_close(ours, old - 0.1 * theirs.grad, rtol=1e-5, atol=1e-6)
    moved = (state.method.bank.memory != slow.method.bank.memory).any(dim=1).nonzero().flatten()
    assert set(moved.tolist()) == set(index.tolist())


@pytest.mark.parametrize("method", ["npid", "moco"])
def test_parts_are_part_of_a_runs_identity(tiny_run, tiny_store, tmp_path, method):
    train(tiny_run(method), tiny_store, tmp_path, "cpu")
    with pytest.raises(InputError, match=r"optimiser\.parts 1 there, 2 here"):
        train(tiny_run(method, PARTS), tiny_store, tmp_path, "cpu")


def test_the_published_numbers_of_processes_fit_every_dataset():
    """What the paper preset asks for can be shared by the GPUs that its dataset's file names."""
    for dataset in ("stl10", "imagenet", "imagenet100", "imagenet_lt"):
        for method in METHODS:
            config = load_run("paper", dataset, method)
            assert config["optimiser"]["parts"] > 1
