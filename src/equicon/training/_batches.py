"""Draw the batches of a run from a seed, and load them.

The order is a function of the seed and the epoch, so a run can continue from any batch.
"""

import argparse
import itertools
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Sampler

from equicon._checks import value_error
from equicon.data._grouped import check_groups, group_order
from equicon.data._seeds import permutation, seed_of
from equicon.training._ranks import ALONE, Ranks


class Shares(NamedTuple):
    """The share that each data set has in the images of an epoch.

    Args:
        counts: The number of images in each data set.
        weights: The share of each data set, in any unit, above 0.

    Examples:
        >>> len(list(Batches(40, 4, 0, 0, 20, shares=Shares((30, 10), (1, 1)))))
        20
    """

    counts: Sequence[int]
    weights: Sequence[float]


def draw_order(count: int, seed: int, epoch: int, shares: Shares | None = None) -> Tensor:
    """Draw the images of an epoch in a random order.

    Without shares, every image comes once. With shares, each data set gives as many images as its share says. Its
    images come in a random permutation, then in another one, and so on. An epoch continues in the permutation in which
    the last epoch stopped. The order is still a function of the seed and the epoch alone.
    """
    order = permutation(count, seed_of(seed, 0, epoch))
    if shares is None:
        return order
    total = sum(shares.weights)
    ends = [round(count * weight / total) for weight in itertools.accumulate(shares.weights)]
    chosen, start = [], 0
    for which, (here, (low, high)) in enumerate(zip(shares.counts, itertools.pairwise([0, *ends]), strict=True)):
        first, last = epoch * (high - low), (epoch + 1) * (high - low)
        rounds = range(first // here, -(-last // here))
        seeds = [seed_of(seed, 2, which, number) for number in rounds]
        everything = [permutation(here, each) for each in seeds]
        past = first - rounds.start * here
        chosen.append(start + torch.cat(everything or [order[:0]])[past : past + high - low])
        start += here
    return torch.cat(chosen)[order]


class Batches(Sampler[list[int]]):
    """Indices of the images in the batches from ``first`` up to, but not including, ``last``.

    Each epoch has a new order, which depends on the seed alone. A run that is resumed therefore sees the same batches
    as a run that never stopped. Each rank gets its own part of every batch.

    Args:
        count: The number of images in an epoch.
        batch_size: The number of images in a batch, over all ranks together.
        seed: The seed of the order.
        first: The number of the first batch, counted over all epochs.
        last: The number of the batch before which to stop.
        ranks: The processes of the run.
        shares: The share of each data set in an epoch; None takes every image once an epoch.
        groups: The group of each image (count,), as whole numbers. If you give them, each batch comes from few groups.
            The shares still decide which images an epoch has, and ``equicon.data.GroupedBatchSampler`` describes their
            order.
        groups_per_batch: The number of groups in a batch. It must divide ``batch_size``. It is not used without groups.

    Raises:
        TypeError: If ``groups`` is not a tensor of whole numbers.
        ValueError: If batches cannot be drawn from that many groups.

    Examples:
        >>> whole = list(Batches(10, 3, seed=0, first=0, last=6))
        >>> list(Batches(10, 3, seed=0, first=4, last=6)) == whole[4:]
        True
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        first: int,
        last: int,
        ranks: Ranks = ALONE,
        shares: Shares | None = None,
        groups: Tensor | None = None,
        groups_per_batch: int = 1,
    ) -> None:
        if groups is not None:
            check_groups(groups, batch_size, groups_per_batch)
            if len(groups) != count:
                raise value_error("groups", f"one for each of {count} images", groups)
        self.groups, self.groups_per_batch = groups, groups_per_batch
        self.count, self.batch_size, self.seed, self.shares = count, batch_size, seed, shares
        self.wanted, self.part = range(first, last), ranks.part(batch_size)

    def __len__(self) -> int:
        return len(self.wanted)

    def __iter__(self) -> Iterator[list[int]]:
        per_epoch, known = self.count // self.batch_size, -1
        for number in self.wanted:
            epoch, position = divmod(number, per_epoch)
            if epoch != known:
                order, known = self._order(epoch), epoch
            yield order[position * self.batch_size : (position + 1) * self.batch_size][self.part].tolist()

    def _order(self, epoch: int) -> Tensor:
        order = draw_order(self.count, self.seed, epoch, self.shares)
        if self.groups is None:
            return order
        seed = seed_of(self.seed, 3, epoch)
        return group_order(order, self.groups, self.batch_size, self.groups_per_batch, seed)


def loading(args: argparse.Namespace) -> dict[str, Any]:
    """Give the arguments that a run's ``DataLoader`` needs.

    With them, the workers survive the signal that stops the run, so that the run can finish its step.

    Args:
        args: The options. ``workers`` and ``device`` are read.

    Examples:
        >>> args = argparse.Namespace(workers=0, device="cpu")
        >>> loader = torch.utils.data.DataLoader(range(4), 2, **loading(args))
    """
    # The loader draws a seed for its workers. With its own generator, it does not touch the run's global state.
    return {
        "num_workers": args.workers,
        "pin_memory": args.device.startswith("cuda"),
        "worker_init_fn": _outlive_signals,
        "generator": torch.Generator(),
    }


def _outlive_signals(_: int) -> None:
    """Keep a worker alive while the run finishes its step and saves.

    The worker gets the same Ctrl-C or SIGTERM as the run. It does not live for ever: the run's own process ends its
    workers by SIGTERM too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave_soon)


def _leave_soon(*_: object) -> None:
    timer = threading.Timer(3.0, os._exit, (0,))  # any other exit code would raise an error in the run
    timer.daemon = True
    timer.start()
