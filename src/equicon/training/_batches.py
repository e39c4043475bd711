"""Which images make which batch, by seed and number so that a run goes on from anywhere, and how they are loaded."""

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
    """How often the images of each data set are seen.

    Args:
        counts: How many each has.
        weights: Their shares of an epoch's images, in any unit, above 0.

    Examples:
        >>> len(list(Batches(40, 4, 0, 0, 20, shares=Shares((30, 10), (1, 1)))))
        20
    """

    counts: Sequence[int]
    weights: Sequence[float]


def draw_order(count: int, seed: int, epoch: int, shares: Shares | None = None) -> Tensor:
    """Draw an epoch's images: all of them once, or as many of each data set as its share is.

    With shares, the images of a data set come in one permutation of all of them after another, in which an epoch goes
    on where the last one ended. It is a function of seed and epoch all the same.
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
    """Indices for batch ``first`` and on, up to ``last``: a new order each epoch, which depends on the seed alone.

    So a run that is resumed sees what it would have seen. Of each batch, a rank gets its part.

    Args:
        count: Images to an epoch.
        batch_size: Images to a batch, on all ranks together.
        seed: Of the order.
        first: The number of the first batch, counted over all epochs.
        last: The one before which to stop.
        ranks: The processes of the run.
        shares: How often each data set is seen; None for every image once an epoch.
        groups: The group of each image (count,), whole numbers, for batches from few groups; the order is then that of
            ``equicon.data.GroupedBatchSampler``, of the images that an epoch has by its shares.
        groups_per_batch: From how many, which divides ``batch_size``; not used without groups.

    Raises:
        TypeError: If groups are no tensor of whole numbers.
        ValueError: If batches cannot be drawn from so many groups.

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
                raise value_error("groups", f"one of each of {count} images", groups)
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
    """Give what a ``DataLoader`` is to be made with, so that its workers outlive the signal that stops the run.

    Args:
        args: The options, of which ``workers`` and ``device`` are read.

    Examples:
        >>> args = argparse.Namespace(workers=0, device="cpu")
        >>> loader = torch.utils.data.DataLoader(range(4), 2, **loading(args))
    """
    # A generator of its own: the loader draws a seed for its workers, and the global state is the run's.
    return {
        "num_workers": args.workers,
        "pin_memory": args.device.startswith("cuda"),
        "worker_init_fn": _outlive_signals,
        "generator": torch.Generator(),
    }


def _outlive_signals(_: int) -> None:
    """Let a worker serve on while the run, which got the same Ctrl-C or SIGTERM, ends its step and saves.

    Not for ever: SIGTERM is also how the run's own process ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave_soon)


def _leave_soon(*_: object) -> None:
    timer = threading.Timer(3.0, os._exit, (0,))  # any other exit code would raise an error in the run
    timer.daemon = True
    timer.start()
