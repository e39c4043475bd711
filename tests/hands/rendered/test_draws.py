from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st

from equicon.hands._rendered.draws import Draws, mix, sequence, to_device


@given(seed=st.integers(0, 2**70), index=st.integers(0, 2**40), stream=st.integers(0, 2**20))
def test_numbers_belong_to_the_sample(seed, index, stream):
    alone = Draws.of(seed, [index], stream, 7).uniform(0.0, 1.0, 7)
    together = Draws.of(seed, [5, index, 3, index], stream, 40).uniform(0.0, 1.0, 7)
    assert torch.equal(together[1], alone[0])
    assert torch.equal(together[3], alone[0])
    for other in (Draws.of(seed + 1, [index], stream, 7), Draws.of(seed, [index + 1], stream, 7)):
        assert not torch.equal(other.uniform(0.0, 1.0, 7), alone)
    assert not torch.equal(Draws.of(seed, [index], stream + 1, 7).uniform(0.0, 1.0, 7), alone)


def test_numbers_are_even_and_have_nothing_in_common():
    numbers = Draws.of(0, range(4000), 0, 25).uniform(0.0, 1.0, 25)
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert len(numbers.unique()) == numbers.numel()
    counts = torch.histc(numbers.float(), 50, 0.0, 1.0)
    assert (counts / counts.mean() - 1).abs().max() < 0.1
    assert (torch.corrcoef(numbers.t()) - torch.eye(25)).abs().max() < 0.07
    assert (torch.corrcoef(torch.stack([numbers[:-1, 0], numbers[1:, 0]]))[0, 1]).abs() < 0.07


def test_mix_is_splitmix64():
    # The first outputs for the seeds 0 and 1234567 of the authors' program.
    assert sequence(torch.tensor([0, 1234567]), 2).tolist() == [
        [0xE220A8397B1DCDAF - 2**64, 0x6E789E6AA1B965F4],
        [6457827717110365317, 3203168211198807973],
    ]
    assert len(mix(torch.arange(10000)).unique()) == 10000


def test_draws_have_their_range_and_share():
    draws = Draws.of(1, range(3000), 0, 20)
    uniform = draws.uniform(2.0, 5.0, 2, 3)
    assert uniform.shape == (3000, 2, 3)
    assert 2.0 <= uniform.min() < 2.01 < 4.99 < uniform.max() < 5.0
    chance = draws.chance(0.3)
    assert chance.unique().tolist() == [0.0, 1.0]
    assert abs(chance.mean() - 0.3) < 0.03
    table = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    picked = draws.pick(table, 2)
    assert picked.shape == (3000, 2, 2)
    assert torch.equal(picked.flatten(0, 1).unique(dim=0), table)
    tries = draws.tries(3, 2).uniform(0.0, 1.0, 2)
    assert tries.shape == (9000, 2)
    assert len(tries.unique()) == 18000


def test_only_tensors_move():
    @dataclass(frozen=True)
    class Inner:
        values: torch.Tensor
        names: tuple[str, ...]

    @dataclass(frozen=True)
    class Outer:
        inner: Inner
        seeds: torch.Tensor

    record = Outer(Inner(torch.ones(2).double(), ("a", "b")), torch.tensor([2**60 + 1]))
    moved = to_device(record, "cpu")
    assert moved.inner.values.dtype == torch.float32
    assert torch.equal(moved.seeds, record.seeds)
    assert moved.inner.names == ("a", "b")
