"""Group pictures that resemble each other, and split a data set between groups."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from equicon._checks import value_error
from equicon.data._names import number_folders
from equicon.data._seeds import permutation

_BLOCKS = 20  # of a single sequence: a tenth of it is two stretches from different places
_LONGEST_GAP = 30  # pictures, a second of most videos


class Grouping(NamedTuple):
    """Which pictures belong together.

    Args:
        groups: (n,) int64, the group of each picture.
        place: (n,) int64, the place of each picture in the sequence of all names.
        gap: How many pictures on either side of a held-out block belong to neither side.
        blocks: Whether the groups are blocks of consecutive pictures.
    """

    groups: Tensor
    place: Tensor
    gap: int
    blocks: bool


def group_by_names(names: Sequence[str]) -> Grouping:
    """Group pictures by their folders, or into blocks of consecutive ones if all lie in one folder.

    Consecutive means in the order of the names, in which numbers count by their value. The blocks are 20, or as many as
    there are pictures if these are fewer. The gap is a quarter of a block, and 30 pictures at most.

    Args:
        names: Paths of different pictures, with ``/`` between.
    """
    order = sorted(range(len(names)), key=lambda i: _natural(names[i]))
    place = torch.empty(len(names), dtype=torch.int64, device="cpu")
    place[torch.tensor(order, dtype=torch.int64, device="cpu")] = torch.arange(len(names), device="cpu")
    folders = number_folders(names).long()
    if len(names) and int(folders.max()):
        return Grouping(folders, place, 0, blocks=False)
    length = -(-len(names) // _BLOCKS)
    return Grouping(place // max(length, 1), place, min(length // 4, _LONGEST_GAP), blocks=True)


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part) if i % 2 else 0, part) for i, part in enumerate(parts)]


def hold_out(groups: Tensor, share: float, seed: int) -> Tensor:
    """Choose whole groups, at random, whose items are as near to a share of all as groups allow.

    At least one group is chosen, and at least one is not.

    Args:
        groups: (n,) int64.
        share: Share of the items, in (0, 1).
        seed: At least 0.

    Returns:
        (n,) bool, True for the items of the groups chosen.

    Raises:
        ValueError: If there is one group only.
    """
    _, number, sizes = groups.unique(return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        fix = "Split by other groups, or label pictures of a second video, folder or person."
        raise value_error("groups", "at least two groups, to hold one out", f"{len(sizes)}", fix)
    target, total = round(share * len(groups)), len(groups)
    order = permutation(len(sizes), seed).tolist()
    limit = min(max(2 * target, int(sizes.min())), total - 1)
    # For each number of items: the first group, in this order, with which some of the groups so far have that many.
    last = torch.full((limit + 1,), -1, dtype=torch.int64, device="cpu")
    last[0] = len(order)
    for turn, group in enumerate(order):
        size = int(sizes[group])
        if size <= limit:
            reached = (last[: limit + 1 - size] >= 0) & (last[size:] < 0)
            last[size:][reached] = turn
        if 0 < target <= limit and last[target] >= 0:
            break
    able = last[1:].ge(0).nonzero()[:, 0] + 1
    count = int(able[(able - target).abs().argmin()])
    chosen = torch.zeros(len(sizes), dtype=torch.bool, device="cpu")
    while count:
        group = order[int(last[count])]
        chosen[group] = True
        count -= int(sizes[group])
    return chosen[number]


def near(place: Tensor, held: Tensor, gap: int) -> Tensor:
    """Tell which items (n,) are at most ``gap`` places from one that is held out."""
    there = place[held].sort().values
    after = torch.searchsorted(there, place)
    distances = [(place - there[(after - step).clamp(0, len(there) - 1)]).abs() for step in (0, 1)]
    return torch.minimum(*distances) <= gap
