"""Streams of random numbers: what is random in a run follows from its seed and a place in one of these."""

import numpy as np

#: What is random in a part of a step, an epoch's order, where the images of a step are cut, and how its keys
#: are shuffled: may not coincide.
STEPS, ORDERS, CROPS, SHUFFLES = range(4)


def stream_seed(seed: int, stream: int, *position: int) -> int:
    """A generator seed (32 bits, all that PyTorch's CPU generator takes in) for one place in a stream."""
    return int(np.random.SeedSequence((seed, stream, *position)).generate_state(1)[0])
