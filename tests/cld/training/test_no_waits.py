"""A step never waits for its device: it runs on ``meta``, where asking for a value is an error."""

from contextlib import nullcontext

import pytest
import torch

from cld.methods import METHODS
from cld.training.loop import start
from cld.training.step import Part, train_step


@pytest.mark.parametrize("clustering", ["kmeans", "spectral"])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_asks_for_no_value_of_its_device(method, clustering, tiny_run, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # there is none on this device
    config = tiny_run(method=method, overrides={"cld.clustering": clustering, "precision": "fp32"})
    n, meta = config["optimiser"]["batch_size"], torch.device("meta")
    state = start(config, "none", 2 * n, meta)
    views = [torch.empty(n, 3, 32, 32, device=meta) for _ in range(config["views"])]
    part = Part(views, torch.empty(n, dtype=torch.int64, device=meta), torch.Generator())
    for _ in range(2):
        train_step(state, state.method, [part], lr=0.1, progress=0.5)
    assert state.step == 2
