"""An evaluation command with settings of its own; test_several_processes.py starts this under torchrun.

one_of_several.py CASE.json ARGUMENT... where CASE has ``module``, ``settings`` and perhaps ``signal``:
[rank, step, number], which that process sends itself after so many steps of SGD.
"""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[3]))
torch.set_num_threads(1)


from cld.runtime.errors import run_command  # noqa: E402


def signal_at(last, number):
    """Send this process a signal after so many steps of SGD."""
    n_steps, original = 0, torch.optim.SGD.step

    def step(*args, **options):
        nonlocal n_steps
        original(*args, **options)
        n_steps += 1
        if n_steps == last:
            os.kill(os.getpid(), number)

    torch.optim.SGD.step = step


if __name__ == "__main__":
    case = json.loads(Path(sys.argv[1]).read_text())
    rank, last, number = case["signal"] or (None, None, None)
    if rank == int(os.environ["RANK"]):
        signal_at(last, number)
    command = import_module(case["module"])
    command.load_protocol = lambda *_: case["settings"]
    sys.argv[1:] = sys.argv[2:]
    run_command(command.main)
