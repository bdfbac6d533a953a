"""Against lightly: MoCo v2, the same backbone, batch and images, in the same process, on one core.

``python benchmarks/bench_peers.py`` takes about a minute; it needs the extra ``bench``. solo-learn is
left out: its newest version, 1.0.2, wants torch 1.9.1.
"""

import copy
from collections.abc import Callable
from importlib.util import find_spec

import torch
from bench_steps import training_step
from PIL import Image
from timing import Row, medians, on_one_core, record

from cld.augment.views import Augment
from cld.training.step import Part, train_step

BATCH, QUEUE, N_IMAGES = 64, 4096, 4096
#: A network of width 16 keeps the benchmark short and shows what is not the backbone.
NETWORKS = {
    "ResNet-10 of width 16": {"backbone.blocks": [1, 1, 1, 1], "backbone.width": 16},
    "ResNet-18 of width 64": {},
}
SETTINGS = {"queue.size": QUEUE, "optimiser.batch_size": BATCH, "cld.weight": 0, "precision": "auto"}


def main() -> None:
    """Record the rows."""
    if not find_spec("lightly"):
        print("Peers: lightly is not installed (pip install '.[bench]'); left out")
        return
    rows = [row for name, network in NETWORKS.items() for row in against_lightly(name, network)]
    record("Peers", "MoCo v2; lightly's time over ours, default settings of both: higher is better.", rows)


def against_lightly(name: str, network: dict) -> list[Row]:
    """Data path, step, and the two together, which is an epoch, for a batch."""
    _, state, _ = training_step("moco_v2", {**SETTINGS, **network}, N_IMAGES)
    images = torch.randint(0, 256, (BATCH, 32, 32, 3), dtype=torch.uint8)
    pictures = [Image.fromarray(image) for image in images.numpy()]
    augment, generator = Augment(state.config["augment"], 32, [0.5] * 3, [0.25] * 3), torch.Generator()
    index = torch.arange(BATCH)

    def our_views() -> list[torch.Tensor]:
        return augment(images.repeat(2, 1, 1, 1), generator).chunk(2)

    def our_step(views: list[torch.Tensor]) -> None:
        train_step(state, state.method, [Part(views, index, generator)], 0.01, 0.5)

    their_views, their_step = lightly_moco(state.method.encoder.backbone, pictures)
    ours, theirs = our_views(), their_views()
    pairs = {
        "data path": (our_views, their_views),
        "step": (lambda: our_step(ours), lambda: their_step(theirs)),
        "epoch": (lambda: our_step(our_views()), lambda: their_step(their_views())),
    }
    rows = []
    for what, pair in pairs.items():
        mine, other = medians(*pair)
        target = ">= 2" if what == "epoch" and not network else ""
        note = f"{BATCH / mine:,.0f} against {BATCH / other:,.0f} images/s"
        rows.append(Row(f"{what}, {name}", "lightly 1.6.0", other / mine, target, note))
    return rows


def lightly_moco(backbone: torch.nn.Module, pictures: list[Image.Image]) -> tuple[Callable, Callable]:
    """lightly's MoCo v2 as its example has it: what makes views of the pictures, and a step on them."""
    from lightly.loss import NTXentLoss
    from lightly.models.modules import MoCoProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum
    from lightly.transforms import MoCoV2Transform

    transform, width = MoCoV2Transform(input_size=32), backbone.out_features
    query = torch.nn.Sequential(copy.deepcopy(backbone), MoCoProjectionHead(width, width, 128))
    query = query.to(memory_format=torch.contiguous_format)
    key = copy.deepcopy(query)
    deactivate_requires_grad(key)
    loss_of = NTXentLoss(temperature=0.2, memory_bank_size=(QUEUE, 128))
    optimiser = torch.optim.SGD(query.parameters(), 0.01, 0.9, weight_decay=1e-4)

    def views() -> list[torch.Tensor]:
        return [torch.stack(view) for view in zip(*map(transform, pictures), strict=True)]

    def step(both: list[torch.Tensor]) -> None:
        update_momentum(query, key, m=0.999)
        loss = loss_of(query(both[0]), key(both[1]).detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return views, step


if __name__ == "__main__":
    on_one_core()
    main()
