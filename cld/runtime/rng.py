"""Seeds of random generators: every random draw follows from a run's seed, a stream and a place in it."""

import numpy as np

#: The streams of pre-training: draws in a part of a step, the order of an epoch, crops of JPEGs, and the
#: shuffle of a step's keys. The numbers are part of every result.
STEPS, ORDERS, CROPS, SHUFFLES = range(4)


def stream_seed(seed: int, stream: int, *position: int) -> int:
    """A generator seed (32 bits, all that PyTorch's CPU generator takes in) for one place in a stream."""
    return int(np.random.SeedSequence((seed, stream, *position)).generate_state(1)[0])
