import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, normalize

from cld.memory import MemoryBank, MomentumQueue
from cld.runtime.errors import InputError


def unit(*shape, seed=0):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=1)


def golden_bank(golden):
    bank = MemoryBank(*golden["npid_memory"].shape, momentum=golden["npid_momentum"])
    bank.memory.copy_(golden["npid_memory"])
    return bank


def test_bank_logits_loss_and_gradient_are_the_authors(golden):
    bank = golden_bank(golden)
    x = golden["npid_x"].clone().requires_grad_()
    logits = bank.logits(x, golden["npid_T"])
    loss = cross_entropy(logits, golden["npid_y"])
    loss.backward()
    torch.testing.assert_close(logits, golden["npid_logits"], rtol=1e-5, atol=1e-5)
    assert loss.item() == pytest.approx(golden["npid_loss"], rel=1e-6)
    torch.testing.assert_close(x.grad, golden["npid_grad_x"], rtol=1e-4, atol=1e-7)
    x.grad = None
    loss, own, others = bank.loss(x, golden["npid_y"], golden["npid_T"])
    loss.backward()
    assert loss.item() == pytest.approx(golden["npid_loss"], rel=1e-6)
    torch.testing.assert_close(x.grad, golden["npid_grad_x"], rtol=1e-4, atol=1e-7)
    similarity = logits.detach() * golden["npid_T"]
    is_own = torch.nn.functional.one_hot(golden["npid_y"], similarity.shape[1]).bool()
    assert own.item() == pytest.approx(similarity[is_own].mean().item(), abs=1e-6)
    assert others.item() == pytest.approx(similarity[~is_own].mean().item(), abs=1e-6)


def test_bank_update_is_the_authors(golden):
    bank = golden_bank(golden)
    bank.update(golden["npid_x"], golden["npid_y"])
    torch.testing.assert_close(bank.memory, golden["npid_memory_after"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "rows",
    [lambda: MemoryBank(500, 16, 0.5).memory, lambda: MomentumQueue(500, 16).queue],
    ids=["bank", "queue"],
)
def test_starts_with_unit_rows_from_torchs_generator(rows):
    torch.manual_seed(3)
    first = rows()
    torch.manual_seed(3)
    assert torch.equal(first, rows())
    torch.testing.assert_close(first.norm(dim=1), torch.ones(500))
    assert first.mean(dim=0).abs().max() < 0.05  # no direction is favoured


@settings(max_examples=30)
@given(index=st.lists(st.integers(0, 6), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_repeated_indices_move_a_row_once_towards_their_mean(index, seed):
    bank = MemoryBank(7, 4, 0.3)
    before, features = bank.memory.clone(), unit(len(index), 4, seed=seed)
    bank.update(features, torch.tensor(index))
    for row in range(7):
        mine = [feature for feature, i in zip(features, index, strict=True) if i == row]
        expected = before[row]
        if mine:
            expected = normalize(0.3 * before[row] + 0.7 * torch.stack(mine).mean(dim=0), dim=0)
        torch.testing.assert_close(bank.memory[row], expected, rtol=1e-5, atol=1e-6)


def test_update_does_not_depend_on_the_order_of_the_batch():
    torch.manual_seed(0)
    one, other = MemoryBank(9, 8, 0.5), MemoryBank(9, 8, 0.5)
    other.memory.copy_(one.memory)
    features, index = unit(30, 8), torch.arange(30) % 9
    shuffled = torch.randperm(30)
    one.update(features, index)
    other.update(features[shuffled], index[shuffled])
    torch.testing.assert_close(one.memory, other.memory)


def test_bank_keeps_no_gradient_and_is_saved():
    bank = MemoryBank(5, 4, 0.5)
    bank.update(unit(2, 4).requires_grad_(), torch.tensor([0, 3]))
    assert not bank.memory.requires_grad
    assert list(bank.state_dict()) == ["memory"]
    assert not list(bank.parameters())


def test_queue_is_the_authors(golden):
    queue = MomentumQueue(*golden["moco_queue"].shape)
    queue.queue.copy_(golden["moco_queue"])
    for step in range(4):
        q, k = golden["moco_q"][step], golden["moco_k"][step]
        logits = queue.logits(q, k, golden["moco_T"])
        torch.testing.assert_close(logits, golden["moco_logits"][step], rtol=1e-5, atol=1e-5)
        loss = cross_entropy(logits, torch.zeros(len(q), dtype=torch.int64))
        assert loss.item() == pytest.approx(golden["moco_loss"][step].item(), rel=1e-5)
        loss, own, others = queue.loss(q, k, golden["moco_T"])
        assert loss.item() == pytest.approx(golden["moco_loss"][step].item(), rel=1e-5)
        similarity = logits * golden["moco_T"]
        assert own.item() == pytest.approx(similarity[:, 0].mean().item(), abs=1e-6)
        assert others.item() == pytest.approx(similarity[:, 1:].mean().item(), abs=1e-6)
        queue.enqueue(k)
    torch.testing.assert_close(queue.queue, golden["moco_queue_after"], rtol=0, atol=0)


@settings(max_examples=30)
@given(size=st.integers(1, 12), batches=st.lists(st.integers(0, 12), max_size=8))
def test_queue_holds_the_newest_keys(size, batches):
    queue = MomentumQueue(size, 3)
    rows, at = list(queue.queue.clone()), 0
    for step, batch in enumerate(batches):
        keys = unit(min(batch, size), 3, seed=step)
        queue.enqueue(keys)
        for key in keys:  # the obvious ring
            rows[at % size] = key
            at += 1
    assert torch.equal(queue.queue, torch.stack(rows))
    assert queue.pointer.item() == at % size


def test_queue_resumes_from_its_state():
    queue, resumed = MomentumQueue(10, 4), MomentumQueue(10, 4)
    queue.enqueue(unit(7, 4))
    resumed.load_state_dict(queue.state_dict())
    for one in (queue, resumed):
        one.enqueue(unit(6, 4, seed=1))
    assert torch.equal(queue.queue, resumed.queue)
    assert torch.equal(queue.pointer, resumed.pointer)


def test_gradient_reaches_the_queries_only():
    queue = MomentumQueue(8, 4)
    queries, keys = unit(3, 4).requires_grad_(), unit(3, 4, seed=1)
    cross_entropy(queue.logits(queries, keys, 0.2), torch.zeros(3, dtype=torch.int64)).backward()
    expected, queries.grad = queries.grad, None
    queue.loss(queries, keys, 0.2)[0].backward()
    torch.testing.assert_close(queries.grad, expected)
    assert not queue.queue.requires_grad


def test_batch_larger_than_the_queue_is_an_error():
    with pytest.raises(InputError, match=r"batch of 9 keys exceeds the queue of 8: raise queue\.size"):
        MomentumQueue(8, 4).enqueue(unit(9, 4))
