"""One step of SGD on one batch, in the parts that the batch is defined by (``optimiser.parts``).

Each part is normalised and grouped for itself, as on a GPU of its own: parts are virtual GPUs. A process that
has several takes them one after the other and adds up their gradients. The running averages of batch
normalisation are those of the first part, however many processes there are.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from cld.methods.base import Method, StepOutput
from cld.models.running_statistics import running_statistics
from cld.runtime.distributed import all_gather, all_reduce_mean, rank, world_size
from cld.runtime.rng import SHUFFLES, STEPS, stream_seed
from cld.training.state import TrainingState


@dataclass(frozen=True)
class Part:
    """The views of one part of a batch.

    Attributes:
        views: V normalised views (b, 3, S, S).
        index: (b,) int64, which training images they show.
        generator: of the CPU; what the method draws follows what the views have drawn.
    """

    views: Sequence[Tensor]
    index: Tensor
    generator: Generator


def draw_parts(
    state: TrainingState, drawn: Sequence[tuple[Tensor, Callable[[Generator], Tensor]]]
) -> list[Part]:
    """The views of this process's parts of a step, see :func:`cld.data.view_batches.view_batches`."""
    parts, first = [], rank() * len(drawn)
    for number, (index, draw_views) in enumerate(drawn, start=first):
        seed = stream_seed(state.config["seed"], STEPS, state.step, number)
        generator = Generator().manual_seed(seed)
        parts.append(Part(draw_views(generator).chunk(state.config["views"]), index, generator))
    return parts


def train_step(
    state: TrainingState, forward: nn.Module, parts: Sequence[Part], lr: float, progress: float
) -> None:
    """One step of SGD on one batch.

    Args:
        forward: the method, as :func:`cld.runtime.distributed.data_parallel` gives it.
        parts: what this process has of the batch.
        lr: learning rate.
        progress: share of the run's steps done, 0..1.
    """
    method, scaler = state.method, state.scaler
    torch.manual_seed(stream_seed(state.config["seed"], SHUFFLES, state.step))
    keys = encode_keys(method, parts)
    state.optimiser.zero_grad()
    outputs = []
    for number, part in enumerate(parts, start=1):
        torch.manual_seed(part.generator.initial_seed())  # of GPUs' generators too
        torch.default_generator.set_state(part.generator.get_state())
        is_last = number == len(parts)
        summed = nullcontext() if is_last or world_size() == 1 else forward.no_sync()
        with summed, running_statistics(method, updated=number == 1):
            try:
                output = forward(part.views, part.index, *keys[number - 1])
            except Exception:
                state.require_finite()  # a network that has diverged may trip up clustering first
                raise
            scaler.scale(output.loss / len(parts)).backward()
        outputs.append(replace(output, loss=output.loss.detach()))
    state.optimiser.param_groups[0]["lr"] = lr
    scaler.step(state.optimiser)
    scaler.update()
    carry = {
        name: all_gather(torch.cat([output.carry[name] for output in outputs])) for name in outputs[0].carry
    }
    method.after_step(replace(outputs[-1], carry=carry), progress)
    state.step += 1
    state.count(averaged_logs(outputs))


def encode_keys(method: Method, parts: Sequence[Part]) -> list[tuple[Tensor, ...]]:
    """What each part's call takes as a third argument, if anything."""
    keys = method.encode_keys([part.views[-1] for part in parts])
    return [()] * len(parts) if keys is None else [(part,) for part in keys.chunk(len(parts))]


def averaged_logs(outputs: Sequence[StepOutput]) -> dict[str, Tensor]:
    """The terms to log, averaged over the parts of a batch and over the processes."""
    spreads = [feature_spread(output.group_inputs[0].embedding) for output in outputs]
    terms = [
        {"loss": output.loss, **output.logs, "feature_spread": spread}
        for output, spread in zip(outputs, spreads, strict=True)
    ]
    table = torch.stack([torch.stack([value.float() for value in part.values()]) for part in terms])
    return dict(zip(terms[0], all_reduce_mean(table.mean(dim=0)), strict=True))


@torch.no_grad()
def feature_spread(embedding: Tensor) -> Tensor:
    """Mean deviation of unit-length features (B, d) times √d: near 1 if evenly spread, 0 if collapsed."""
    return embedding.std(dim=0).mean() * embedding.shape[1] ** 0.5
