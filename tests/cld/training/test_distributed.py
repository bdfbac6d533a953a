"""Several processes, or several parts in one: the same batch, losses and memories."""

import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from processes import ENVIRONMENT, torchrun
from torch import nn
from trainings import FILES, train_arguments, untimed

from cld.methods.shuffled_keys import encode_shuffled
from cld.runtime.errors import InputError
from cld.training.checkpoint import load_checkpoint
from cld.training.loop import start, train
from cld.training.process_count import require_process_count
from cld.training.step import Part, train_step

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PARTS = {"optimiser.parts": 2}


def two_processes(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(torchrun(2, *arguments), env=ENVIRONMENT, capture_output=True, text=True)


def train_in_two(config: dict, store: Path, run: Path) -> Path:
    done = two_processes(*train_arguments(config, store, run))
    assert done.returncode == 0, done.stderr
    return run


def logged(run: Path) -> list[dict[str, float]]:
    return [{name: float(value) for name, value in row.items()} for row in untimed(run)]


def assert_same_run(ours: Path, theirs: Path) -> None:
    """The same but for the order in which sums are taken: log, weights and memories."""
    for row, expected in zip(logged(ours), logged(theirs), strict=True):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-4)
    states = [load_checkpoint(run / "checkpoint.pt")["method"] for run in (ours, theirs)]
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-2, atol=1e-3)


def test_collectives_synchronised_norm_and_shuffled_keys():
    done = two_processes(str(HERE / "two_processes.py"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" passed in process ") == 8


@pytest.mark.parametrize("method", ["npid", "moco", "infomin", "byol"])
def test_two_processes_and_one_with_two_parts_train_the_same(tiny_run, tiny_store, tmp_path, method):
    config = tiny_run(method, {**PARTS, "optimiser.epochs": 2, "sync_bn": False})
    together = train_in_two(config, tiny_store, tmp_path / "together")
    alone = train(config, tiny_store, tmp_path / "alone", "cpu").parent
    assert_same_run(together, alone)
    assert {path.name for path in together.iterdir()} == FILES


def test_a_run_stopped_in_two_processes_resumes_in_one(tiny_run, tiny_store, tmp_path):
    config = tiny_run("moco", {**PARTS, "optimiser.epochs": 30, "optimiser.lr": 0.001})
    run = tmp_path / "stopped"
    command = torchrun(2, *train_arguments(config, tiny_store, run))
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
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
    one = train(config, tiny_store, tmp_path / "one", "cpu").parent
    two = train_in_two(config, tiny_store, tmp_path / "two")
    ours, theirs = logged(one), logged(two)
    assert [row["epoch"] for row in ours] == [row["epoch"] for row in theirs] == [*range(1, 31)]
    resumed = stopped_at // 4 + 1  # the first epoch that differs in who computed it
    assert ours[resumed]["loss"] == pytest.approx(theirs[resumed]["loss"], rel=1e-2)


def test_processes_share_the_parts_equally_and_with_synchronised_norm_have_one_each(tiny_run):
    require_process_count(tiny_run("npid", PARTS), 2)
    with pytest.raises(InputError, match=r"2 processes cannot share the optimiser\.parts 1 of a batch"):
        require_process_count(tiny_run("npid"), 2)
    with pytest.raises(InputError, match=r"sync_bn normalises the 2 optimiser\.parts .* start 2 processes"):
        require_process_count(tiny_run("byol", {**PARTS, "sync_bn": True}), 1)


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
    assert encode[2].num_batches_tracked == 1 + 3  # of ours the first part's alone, and of the check's
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
