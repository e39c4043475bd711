"""Batches from few groups, such as videos: images of one group differ in what they show, and little in their scene."""

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import Sampler

from equicon._checks import check_int, describe, type_error, value_error
from equicon.data._seeds import permutation, seed_of


@final
class GroupedBatchSampler(Sampler[list[int]]):
    """Sample batches of indices, each from few groups. An epoch has each image once, but for a rest below one batch.

    A contrastive loss asks which image of the batch a view shows. If each image has its own background and light, these
    give the answer. Images of one video, recording or folder share them, and differ in what the encoder should learn.
    So a batch of B images holds B / G images of each of G groups.

    Each group is permuted and cut into chunks of B / G images. G chunks of different groups make a batch. Large groups
    give more chunks than small ones. When the small groups are used up, several chunks of a batch may be of one group.
    What is left over of each group is less than a chunk. These images make batches too, each from as few groups as
    possible. The order of the batches is random. Inside a batch the groups take turns, so that each rank or micro-batch
    has images of all of them.

    Each ``iter`` gives the next epoch; ``set_epoch`` goes to any epoch. An epoch depends on the seed and its number
    alone. So a resumed run sees what it would have seen, and the ranks of a run agree. Pass the sampler to a
    ``DataLoader`` as ``batch_sampler=``.

    Args:
        groups: The group of each image (n,), whole numbers: ``data.groups`` of this library's data sets.
        batch_size: B, the size of a batch on all ranks together, at least 1.
        groups_per_batch: G, at least 1, a divisor of B.
        seed: Seed of the order, at least 0.
        rank: The number of this process among those that share each batch.
        num_replicas: The number of these processes, at most B.

    Raises:
        TypeError: If groups are not a tensor of whole numbers, or another argument is not a whole number.
        ValueError: If G does not divide B, there are fewer images than B, or the groups are too small for a batch.

    Examples:
        >>> sampler = GroupedBatchSampler(torch.tensor([0, 1, 2] * 4), batch_size=4, groups_per_batch=1)
        >>> sorted(sorted({index % 3 for index in batch}) for batch in sampler)
        [[0], [1], [2]]
    """

    def __init__(
        self,
        groups: Tensor,
        batch_size: int,
        groups_per_batch: int,
        *,
        seed: int = 0,
        rank: int = 0,
        num_replicas: int = 1,
    ) -> None:
        self.batch_size = check_int("batch_size", batch_size, low=1)
        self.groups_per_batch = check_int("groups_per_batch", groups_per_batch, low=1)
        check_groups(groups, self.batch_size, self.groups_per_batch)
        self.groups, self.seed, self.epoch = groups, check_int("seed", seed, low=0), 0
        self.rank, self.num_replicas = check_int("rank", rank, low=0), check_int("num_replicas", num_replicas, low=1)
        if self.num_replicas > self.batch_size:
            raise value_error("num_replicas", f"at most {self.batch_size}, the images of a batch", self.num_replicas)
        if self.rank >= self.num_replicas:
            raise value_error("rank", f"less than {self.num_replicas}, the processes", self.rank)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that comes next, from 0."""
        self.epoch = check_int("epoch", epoch, low=0)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.groups) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's part of each batch of the epoch."""
        order = permutation(len(self.groups), seed_of(self.seed, 0, self.epoch))
        order = group_order(
            order, self.groups, self.batch_size, self.groups_per_batch, seed_of(self.seed, 3, self.epoch)
        )
        self.epoch += 1
        start, stop = (part * self.batch_size // self.num_replicas for part in (self.rank, self.rank + 1))
        return (batch[start:stop].tolist() for batch in order.view(-1, self.batch_size))


def check_groups(groups: Any, batch_size: int, groups_per_batch: int) -> None:
    """Check that such batches can be drawn from the groups. The two sizes must have been checked before."""
    if not isinstance(groups, Tensor):
        raise type_error("groups", "a tensor (n,), the group of each image", describe(groups))
    if groups.is_floating_point() or groups.is_complex() or groups.dtype == torch.bool:
        raise type_error("groups", "whole numbers", groups, "Number the groups from 0.")
    if groups.ndim != 1:
        raise value_error("groups", "the group of each image, of shape (n,)", groups)
    if len(groups) < batch_size:
        raise value_error("batch_size", f"at most {len(groups)}, the images", batch_size)
    if batch_size % groups_per_batch:
        raise value_error("groups_per_batch", f"a number that divides {batch_size}, the batch", groups_per_batch)
    each = batch_size // groups_per_batch
    sizes = groups.unique(return_counts=True)[1]
    if int((sizes // each).sum()) < groups_per_batch:  # then all batches would be left-over images
        has = f"{len(sizes):,} groups, the largest of which has {int(sizes.max()):,}"
        fix = "Raise groups_per_batch, so that a batch needs fewer images of each group, or lower the batch size."
        raise value_error("groups_per_batch", f"groups that can give {each:,} images each to a batch", has, fix)


def group_order(order: Tensor, groups: Tensor, batch_size: int, groups_per_batch: int, seed: int) -> Tensor:
    """Rearrange the images of an epoch, which come in random order, into whole batches from few groups.

    Args:
        order: Indices (n,) in random order. An index may occur several times.
        groups: The group of each index.
        batch_size: The size B of a batch.
        groups_per_batch: The number G of groups in a batch, which divides B.
        seed: Seed of the other random choices.

    Returns:
        Indices (n // B · B,), batch after batch.
    """
    draw, each = torch.Generator().manual_seed(seed), batch_size // groups_per_batch
    group, by_group = groups.to("cpu")[order].sort(stable=True)
    sizes = group.unique_consecutive(return_counts=True)[1]
    number = torch.arange(len(sizes), device="cpu").repeat_interleave(sizes)  # number of the group, from 0
    place = torch.arange(len(order), device="cpu")
    inside = place - (sizes.cumsum(0) - sizes)[number]
    whole = inside < (sizes // each * each)[number]

    chunks, turn = place[whole].view(-1, each), inside[whole][::each]
    shuffled = torch.randperm(len(chunks), generator=draw, device="cpu")
    chunks = chunks[shuffled[turn[shuffled].sort(stable=True).indices]]  # the first of each group, then the second
    used = len(chunks) // groups_per_batch * groups_per_batch
    batches = chunks[:used].view(-1, groups_per_batch, each).transpose(1, 2).reshape(-1, batch_size)

    rest = torch.cat([chunks[used:].flatten(), place[~whole]])
    ranks = torch.randperm(len(sizes), generator=draw, device="cpu")
    rest = rest[ranks[number[rest]].sort(stable=True).indices]
    rest = rest[: len(rest) // batch_size * batch_size].view(-1, batch_size)
    inner = torch.rand(rest.shape, generator=draw, device="cpu", dtype=torch.float64).argsort(1)

    batches = torch.cat([batches, rest.gather(1, inner)])
    shuffled = torch.randperm(len(batches), generator=draw, device="cpu")
    return order[by_group[batches[shuffled].flatten()]]
