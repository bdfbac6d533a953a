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

from torch.optim import SGD  # noqa: E402

from cld.runtime.errors import run_command  # noqa: E402


def signalling_step(after, number):
    """SGD's step, which sends this process a signal the ``after``-th time."""
    steps, original = [], SGD.step

    def step(*args, **options):
        original(*args, **options)
        steps.append(None)
        if len(steps) == after:
            os.kill(os.getpid(), number)

    return step


if __name__ == "__main__":
    case = json.loads(Path(sys.argv[1]).read_text())
    rank, after, number = case["signal"] or (None, None, None)
    if rank == int(os.environ["RANK"]):
        SGD.step = signalling_step(after, number)
    command = import_module(case["module"])
    command.load_protocol = lambda *_: case["settings"]
    sys.argv[1:] = sys.argv[2:]
    run_command(command.main)
