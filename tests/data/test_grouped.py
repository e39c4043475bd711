import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equicon.data import GroupedBatchSampler


@st.composite
def cases(draw):
    per_batch, each = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=9))
    seed = draw(st.integers(0, 2**40))
    assume(sum(size // each for size in sizes) >= per_batch)
    names = torch.tensor([7 * name - 20 for name, size in enumerate(sizes) for _ in range(size)])
    mixed = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    return names[mixed], per_batch * each, per_batch, seed


def loop_whole(groups: torch.Tensor, batch_size: int, per_batch: int) -> int:
    """Count the batches that whole chunks of the groups make."""
    chunks = 0
    for name in set(groups.tolist()):
        left = int((groups == name).sum())
        while left >= batch_size // per_batch:
            left -= batch_size // per_batch
            chunks += 1
    return chunks // per_batch


@settings(max_examples=40)
@given(cases())
def test_batches_are_of_as_few_groups_as_asked_and_of_all_images_once(case):
    groups, batch_size, per_batch, seed = case
    sampler = GroupedBatchSampler(groups, batch_size, per_batch, seed=seed)
    batches = list(sampler)
    assert len(batches) == len(sampler) == len(groups) // batch_size
    assert all(len(batch) == batch_size for batch in batches)
    seen = [index for batch in batches for index in batch]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(len(groups)))
    each, grouped = batch_size // per_batch, 0
    for batch in batches:
        counts = groups[batch].unique(return_counts=True)[1]
        grouped += len(counts) <= per_batch and bool((counts % each == 0).all())
    assert grouped >= loop_whole(groups, batch_size, per_batch)


@settings(max_examples=40)
@given(cases(), st.integers(1, 4), st.integers(0, 5))
def test_it_goes_on_from_any_epoch_and_ranks_share_its_batches(case, ranks, epoch):
    groups, batch_size, per_batch, seed = case
    assume(ranks <= batch_size)
    whole = GroupedBatchSampler(groups, batch_size, per_batch, seed=seed)
    epochs = [list(whole) for _ in range(epoch + 1)]
    parts = []
    for rank in range(ranks):
        part = GroupedBatchSampler(groups, batch_size, per_batch, seed=seed, rank=rank, num_replicas=ranks)
        part.set_epoch(epoch)
        parts.append(list(part))
    assert [[i for part in batch for i in part] for batch in zip(*parts, strict=True)] == epochs[epoch]


def test_epochs_and_seeds_differ_and_so_do_the_groups_that_meet():
    groups = torch.arange(64) % 8
    sampler = GroupedBatchSampler(groups, 8, 2)
    first, second = list(sampler), list(sampler)
    other = list(GroupedBatchSampler(groups, 8, 2, seed=1))
    met = [sorted(frozenset(groups[batch].tolist()) for batch in batches) for batches in (first, second, other)]
    assert first != second != other != first
    assert len({str(each) for each in met}) == 3
    assert len({frozenset(groups[batch].tolist()) for batch in first}) > 4  # not the same pairs all the time


def test_where_groups_are_as_large_as_it_takes_every_batch_is_of_different_ones_that_take_turns():
    groups = torch.arange(96) // 12  # 3 chunks of 4 each, 8 to a turn
    for batch in GroupedBatchSampler(groups, 16, 4):
        names = groups[batch].view(4, 4)
        assert (names == names[0]).all()
        assert len(names[0].unique()) == 4


def test_what_is_left_of_the_groups_makes_batches_of_few_groups_too():
    groups = torch.arange(160) // 10  # one chunk of 8 each, and 2 left over
    counts = [len(groups[batch].unique()) for batch in GroupedBatchSampler(groups, 16, 2)]
    assert sorted(counts) == [2] * 8 + [8] * 2


def test_a_group_that_is_alone_or_fewer_groups_than_asked_will_do():
    for groups, per_batch in ((torch.zeros(12, dtype=torch.int32), 2), (torch.arange(12) % 2, 4)):
        batches = list(GroupedBatchSampler(groups, 4, per_batch))
        assert sorted(i for batch in batches for i in batch) == list(range(12))


def test_no_image_is_left_out_for_ever():
    groups = torch.tensor([0] * 7 + [1] * 5 + [2])
    sampler = GroupedBatchSampler(groups, 4, 2)
    assert {i for _ in range(20) for batch in sampler for i in batch} == set(range(13))


GROUPS = torch.arange(12) % 3


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"groups": [0, 1]}, TypeError, r"groups: expected a tensor \(n,\), the group of each image, got"),
        ({"groups": GROUPS.float()}, TypeError, "groups: expected whole numbers, got .* Number the groups from 0"),
        ({"groups": GROUPS > 0}, TypeError, "groups: expected whole numbers"),
        ({"groups": GROUPS.view(3, 4)}, ValueError, r"groups: expected the group of each image, of shape \(n,\)"),
        ({"groups": GROUPS[:3]}, ValueError, "batch_size: expected at most 3, the images, got int 4"),
        ({"batch_size": 0}, ValueError, "batch_size: expected a whole number of at least 1"),
        (
            {"groups_per_batch": 3},
            ValueError,
            "groups_per_batch: expected a number that divides 4, the batch, got int",
        ),
        ({"groups_per_batch": 8}, ValueError, "groups_per_batch: expected a number that divides 4"),
        (
            {"groups": torch.arange(12)},
            ValueError,
            "groups that can give 2 images each to a batch, got 12 groups, the largest of which has 1. Raise groups_pe",
        ),
        ({"seed": -1}, ValueError, "seed: expected a whole number of at least 0"),
        ({"rank": 2, "num_replicas": 2}, ValueError, "rank: expected less than 2, the processes, got int 2"),
        ({"num_replicas": 5}, ValueError, "num_replicas: expected at most 4, the images of a batch, got int 5"),
    ],
)
def test_what_makes_no_batches_is_refused(change, error, match):
    given = {"groups": GROUPS, "batch_size": 4, "groups_per_batch": 2} | change
    with pytest.raises(error, match=match):
        GroupedBatchSampler(**given)
    with pytest.raises(ValueError, match="epoch: expected a whole number of at least 0"):
        GroupedBatchSampler(GROUPS, 4, 2).set_epoch(-1)
