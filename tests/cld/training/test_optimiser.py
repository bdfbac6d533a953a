"""The optimisers are PyTorch's, to the bit, and leave its compiler out."""

import subprocess
import sys

import pytest
import torch

from cld.training.optimiser import SGD

SMALL = """
import sys, torch
from cld.training.optimiser import LBFGS, SGD
weights = torch.nn.Parameter(torch.ones(3))
for make in (lambda: SGD([weights], 0.1, 0.9, weight_decay=0.01), lambda: LBFGS([weights])):
    optimiser = make()
    def loss():
        optimiser.zero_grad()
        value = weights.square().sum()
        value.backward()
        return value
    optimiser.step(loss)
    optimiser.load_state_dict(optimiser.state_dict())
print("torch._dynamo" in sys.modules)
"""


def test_the_compiler_is_not_imported():
    done = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("nesterov", [False, True])
def test_steps_are_those_of_pytorch(nesterov):
    ours, theirs = (torch.nn.Linear(5, 4) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    both = []
    for network, kind in ((ours, SGD), (theirs, torch.optim.SGD)):
        optimiser = kind(network.parameters(), 0.1, 0.9, weight_decay=1e-2, nesterov=nesterov)
        generator = torch.Generator().manual_seed(0)
        for _ in range(5):
            optimiser.zero_grad()
            network(torch.randn(8, 5, generator=generator)).square().sum().backward()
            optimiser.step()
        both.append(optimiser.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    states = [both[i]["state"][0]["momentum_buffer"] for i in range(2)]
    assert torch.equal(*states)
    assert all(not weight.grad.requires_grad for weight in ours.parameters())
