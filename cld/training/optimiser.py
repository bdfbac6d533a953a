"""PyTorch's optimisers without PyTorch's compiler.

They import it, which takes as long as importing PyTorch itself, to keep it away from some of their methods.
Nothing here compiles an optimiser, so it need not be there; a backbone that is compiled brings it along.
"""

import inspect

import torch
from torch.optim import LBFGS, Optimizer

__all__ = ["LBFGS", "SGD"]

for _name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
    _method = inspect.unwrap(vars(Optimizer)[_name])
    _method.__dynamo_disable = _method  # where PyTorch keeps what the compiler makes of the method


class SGD(torch.optim.SGD):
    """PyTorch's SGD, with its own step less what speaks to the compiler."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
