"""Batch normalisation's running averages over a batch that is normalised in parts."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def running_statistics(network: nn.Module, updated: bool) -> Iterator[None]:
    """Have a network in training mode update its running averages, or leave them as they are.

    A batch is normalised by its own statistics either way. Of a batch in parts only the first counts: where
    several GPUs share the parts, the first GPU's averages are those that are saved.
    """
    norms = [] if updated else [each for each in network.modules() if getattr(each, "track_running_stats", 0)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
