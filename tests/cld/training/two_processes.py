"""What two processes compute together; test_distributed.py starts this under torchrun."""

import copy
import sys
from pathlib import Path

import torch
from torch import nn

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parents[1])]
torch.set_num_threads(1)

from cld.data.epoch_sampler import rank_slice  # noqa: E402
from cld.methods import build_method  # noqa: E402
from cld.methods.shuffled_keys import encode_shuffled  # noqa: E402
from cld.models.sync_batchnorm import convert_sync_batchnorm  # noqa: E402
from cld.runtime.distributed import (  # noqa: E402
    all_gather,
    all_gather_objects,
    all_reduce_max,
    all_reduce_mean,
    data_parallel,
    process_group,
    rank,
)


def own(rows):
    """This process's half."""
    return rows.chunk(2)[rank()]


def check_collectives():
    rows = torch.arange(12.0).view(6, 2)
    assert all_gather_objects([rank(), "a"]) == [[0, "a"], [1, "a"]]
    assert torch.equal(torch.cat(all_gather_objects(rows[rank_slice(5)])), rows[:5])
    assert torch.equal(all_gather(own(rows)), rows)
    assert all_reduce_mean(own(rows)).tolist() == rows.view(2, 3, 2).mean(dim=0).tolist()
    assert all_reduce_max(rank(), 3 - rank()) == (1, 3)


def check_synchronised_norm():
    torch.manual_seed(0)
    images, target = torch.randn(5, 3, 4, 4) * 3 + 1, torch.randn(5, 4)
    norms = nn.BatchNorm2d(5), nn.BatchNorm1d(4)
    plain = nn.Sequential(nn.Conv2d(3, 5, 3), norms[0], nn.Flatten(), nn.Linear(20, 4), norms[1])
    for norm in norms:
        nn.init.uniform_(norm.weight)
        nn.init.uniform_(norm.bias)
    synced = convert_sync_batchnorm(copy.deepcopy(plain), torch.device("cpu"))
    assert synced.state_dict().keys() == plain.state_dict().keys()
    mine = rank_slice(5)  # of unequal size
    (plain(images) - target).square().sum().backward()
    (synced(images[mine]) - target[mine]).square().sum().backward()
    for ours, theirs in zip(synced.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(2 * all_reduce_mean(ours.grad), theirs.grad, rtol=1e-4, atol=1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(synced.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(synced.eval()(images), plain.eval()(images))


def check_shuffled_keys():
    torch.manual_seed(0)
    encode = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4))
    images = torch.randn(8, 3, 2, 2)
    torch.manual_seed(5)
    keys = encode_shuffled(encode, own(images), 2)
    torch.manual_seed(5)
    order = torch.randperm(8)
    expected = torch.empty(8, 4)
    for part in order.chunk(4):
        expected[part] = encode(images[part]).detach()
    torch.testing.assert_close(keys, own(expected))


def check_a_method_with_synchronised_norm_sees_one_batch():
    """BYOL and NPID: losses and gradients of two processes are those of one with the whole batch."""
    from conftest import TINY

    from cld.config import load_run

    for name in ("byol", "npid"):
        config = load_run("demo", "kitchen_hc", name, 0, {**TINY, "cld.weight": 0})
        torch.manual_seed(0)
        alone = build_method(config, 20)
        torch.manual_seed(0)
        shared = data_parallel(convert_sync_batchnorm(build_method(config, 20), torch.device("cpu")))
        torch.manual_seed(1)
        views, index = [torch.randn(8, 3, 8, 8) for _ in range(2)], torch.randperm(20)[:8]
        whole = alone(views, index)
        half = shared([own(view) for view in views], own(index))
        torch.testing.assert_close(all_reduce_mean(half.loss), whole.loss.detach(), rtol=1e-5, atol=1e-6)
        whole.loss.backward()
        half.loss.backward()
        for ours, theirs in zip(shared.module.parameters(), alone.parameters(), strict=True):
            if theirs.requires_grad:
                torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)


if __name__ == "__main__":
    with process_group():
        for check in (
            check_collectives,
            check_synchronised_norm,
            check_shuffled_keys,
            check_a_method_with_synchronised_norm_sees_one_batch,
        ):
            check()
            print(f"{check.__name__} passed in process {rank()}", flush=True)
