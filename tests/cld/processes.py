"""Starting several processes that compute together."""

import os
import sys

#: One thread in each: more would add up in another order.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def torchrun(n: int, *arguments: str) -> list[str]:
    """A command that starts ``n`` processes and finds a free port for them; a single one without torchrun."""
    if n == 1:
        return [sys.executable, *arguments]
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={n}",
        *arguments,
    ]
