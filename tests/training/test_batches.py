import argparse
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equicon.data import GroupedBatchSampler
from equicon.training import Batches, Ranks, Shares, loading, seed_of
from equicon.training._batches import draw_order


@given(
    count=st.integers(1, 60),
    batch_size=st.integers(1, 12),
    seed=st.integers(0, 2**40),
    cut=st.integers(0, 30),
)
def test_batches_go_on_from_anywhere_and_each_epoch_is_a_new_permutation(count, batch_size, seed, cut):
    if batch_size > count:
        return
    per_epoch = count // batch_size
    last = 2 * per_epoch
    whole = list(Batches(count, batch_size, seed, 0, last))
    cut = min(cut, last)
    assert len(Batches(count, batch_size, seed, cut, last)) == last - cut
    assert list(Batches(count, batch_size, seed, cut, last)) == whole[cut:]
    assert all(len(batch) == batch_size for batch in whole)
    for epoch in (whole[:per_epoch], whole[per_epoch:]):
        seen = [index for batch in epoch for index in batch]
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(range(count))


@given(batch_size=st.integers(2, 12), world=st.integers(1, 4), cut=st.integers(0, 6))
def test_ranks_share_the_batches_of_one_process(batch_size, world, cut):
    whole = list(Batches(40, batch_size, 3, cut, 6))
    parts = zip(*(Batches(40, batch_size, 3, cut, 6, Ranks(rank, world)) for rank in range(world)), strict=True)
    assert [[i for part in batch for i in part] for batch in parts] == whole


@st.composite
def weighed(draw):
    counts = draw(st.lists(st.integers(1, 30), min_size=2, max_size=4))
    weights = draw(st.lists(st.floats(0.05, 10), min_size=len(counts), max_size=len(counts)))
    return Shares(counts, weights), draw(st.integers(1, min(6, sum(counts)))), draw(st.integers(0, 2**40))


@given(weighed(), st.integers(0, 20))
def test_with_weights_each_epoch_has_its_shares_and_goes_through_whole_permutations(case, cut):
    shares, batch_size, seed = case
    count = sum(shares.counts)
    # One image to a batch leaves none over at the end of an epoch, so that all can be counted.
    ones = [batch[0] for batch in Batches(count, 1, seed, 0, 4 * count, shares=shares)]
    exact = [count * weight / sum(shares.weights) for weight in shares.weights]
    start = 0
    for here, wanted in zip(shares.counts, exact, strict=True):
        seen = [[i - start for i in ones[e * count : (e + 1) * count] if start <= i < start + here] for e in range(4)]
        assert len({len(epoch) for epoch in seen}) == 1
        assert abs(len(seen[0]) - wanted) <= 1 + 1e-9
        if len(shares.counts) == 2:
            assert abs(len(seen[0]) - wanted) <= 0.5 + 1e-9
        # Over all epochs, none is seen a second time before all others are seen as often.
        for epochs in range(1, 5):
            times = torch.tensor([i for epoch in seen[:epochs] for i in epoch], dtype=torch.long).bincount(
                minlength=here
            )
            assert int(times.max() - times.min()) <= 1
        start += here
    assert start == count

    last = 2 * (count // batch_size)
    whole = list(Batches(count, batch_size, seed, 0, last, shares=shares))
    assert all(len(batch) == batch_size for batch in whole)
    assert list(Batches(count, batch_size, seed, min(cut, last), last, shares=shares)) == whole[cut:]
    ranks = (Batches(count, batch_size, seed, 0, last, Ranks(rank, 2), shares) for rank in range(2))
    assert [first + second for first, second in zip(*ranks, strict=True)] == whole


@given(
    batch_size=st.sampled_from([2, 4, 6]), seed=st.integers(0, 2**40), cut=st.integers(0, 12), world=st.integers(1, 3)
)
def test_batches_of_groups_are_those_of_the_sampler_from_anywhere_on_any_ranks(batch_size, seed, cut, world):
    groups = torch.arange(50) % 7 % 5
    sampler = GroupedBatchSampler(groups, batch_size, 2, seed=seed)
    whole = [batch for _ in range(2) for batch in sampler]
    last, given = len(whole), {"groups": groups, "groups_per_batch": 2}
    cut, world = min(cut, last), min(world, batch_size)
    assert list(Batches(50, batch_size, seed, cut, last, **given)) == whole[cut:]
    parts = (Batches(50, batch_size, seed, cut, last, Ranks(rank, world), **given) for rank in range(world))
    assert [[i for part in batch for i in part] for batch in zip(*parts, strict=True)] == whole[cut:]


@settings(max_examples=30)
@given(weighed(), st.integers(0, 2**20))
def test_of_groups_an_epoch_has_its_shares_too(case, salt):
    shares, batch_size, seed = case
    count = sum(shares.counts)
    groups = torch.randint(3, (count,), generator=torch.Generator().manual_seed(salt))
    last = 2 * (count // batch_size)
    assume(int(groups.bincount().max()) >= batch_size)
    batches = list(Batches(count, batch_size, seed, 0, last, shares=shares, groups=groups, groups_per_batch=1))
    assert [len(batch) for batch in batches] == [batch_size] * last
    for epoch in range(2):
        drawn = draw_order(count, seed, epoch, shares).bincount(minlength=count)
        here = slice(epoch * last // 2, (epoch + 1) * last // 2)
        seen = torch.tensor([i for batch in batches[here] for i in batch]).bincount(minlength=count)
        assert (seen <= drawn).all()
        assert int((drawn - seen).sum()) == count % batch_size


def test_groups_are_of_all_images():
    with pytest.raises(ValueError, match=r"groups: expected one for each of 12 images, got .*\(10,\)"):
        Batches(12, 4, 0, 0, 3, groups=torch.zeros(10, dtype=torch.long))
    with pytest.raises(ValueError, match="groups_per_batch: expected a number that divides 4"):
        Batches(12, 4, 0, 0, 3, groups=torch.zeros(12, dtype=torch.long), groups_per_batch=3)


def test_weights_are_mixed_well_and_depend_on_epoch_and_seed():
    shares = Shares((100, 300), (3, 1))
    orders = [next(iter(Batches(400, 400, seed, e, e + 1, shares=shares))) for seed in (0, 1) for e in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    for order in orders:
        assert sum(i < 100 for i in order) == 300
        assert 120 < sum(i < 100 for i in order[:200]) < 180


def test_epochs_and_seeds_differ():
    orders = [next(iter(Batches(50, 50, seed, epoch, epoch + 1))) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_seeds_depend_on_every_number_and_its_place():
    numbers = [(0,), (1,), (0, 1), (1, 0), (0, 0, 1), (0, 1, 0), (0, 1, 0, 5)]
    assert len({seed_of(*n) for n in numbers}) == len(numbers)
    assert all(0 <= seed_of(*n) < 2**63 for n in numbers)
    torch.manual_seed(seed_of(2**40, 1))


@pytest.mark.slow
def test_a_worker_outlives_a_signal_but_not_for_ever():
    code = (
        "import os, signal, time\n"
        "from equicon.training._batches import _outlive_signals\n"
        "_outlive_signals(0)\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    os.kill(os.getpid(), number)\n"
        "print('alive', flush=True)\n"
        "time.sleep(3600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


def test_a_loader_leaves_the_global_generator_alone():
    args = argparse.Namespace(workers=0, device="cpu")
    before = torch.get_rng_state()
    assert [batch.tolist() for batch in torch.utils.data.DataLoader(range(4), 2, **loading(args))] == [[0, 1], [2, 3]]
    assert torch.equal(torch.get_rng_state(), before)
    assert loading(argparse.Namespace(workers=3, device="cuda:0"))["pin_memory"]
