"""Features that instance discrimination remembers: NPID's memory bank and MoCo's queue.

Both hold unit-length features without gradient. Update them after the backward pass.
"""

from cld.memory.memory_bank import MemoryBank
from cld.memory.momentum_queue import MomentumQueue

__all__ = ["MemoryBank", "MomentumQueue"]
