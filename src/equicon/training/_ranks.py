"""The processes (ranks) of a run: one, or several that ``torchrun`` started. Each takes its part of every batch."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

T = TypeVar("T")
BEGUN = "equicon: the run has begun"


@dataclass(frozen=True)
class Ranks:
    """This process, and how many others the run has.

    Args:
        rank: The number of this process, from 0.
        world: The number of processes.
        local: The number of this process among those on the same machine, from 0.
        store: A store of torch.distributed, in which ranks leave a message for ranks that are started later.

    Examples:
        >>> [Ranks(rank, 3).part(8) for rank in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    store: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and prints."""
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """Give each rank on a machine its own GPU."""
        return f"cuda:{self.local}" if self.world > 1 and wanted.startswith("cuda") else wanted

    def begin(self, out: Path) -> None:
        """Leave the message that this launch has begun its run, and in which folder."""
        if self.store is not None and self.first:
            self.store.set(BEGUN, str(out))

    @property
    def restarted(self) -> str:
        """The folder of the run, if this launch had to start all ranks again because one ended; else an empty text."""
        return self.store.get(BEGUN).decode() if self.store is not None and self.store.check([BEGUN]) else ""

    def part(self, count: int) -> slice:
        """Give this rank's part of ``count`` items. The parts of two ranks differ in length by at most one."""
        return slice(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def any(self, value: bool) -> bool:
        """Say on all ranks whether the value is true on at least one of them."""
        if self.world == 1:
            return value
        votes = torch.tensor(int(value), device="cpu")
        dist.all_reduce(votes)
        return bool(votes)

    def mean(self, values: Tensor) -> Tensor:
        """Give all ranks the mean of a tensor over the ranks."""
        if self.world == 1:
            return values
        total = values.detach().clone()
        dist.all_reduce(total)
        return total / self.world

    def gather(self, value: T) -> list[T]:
        """Give every rank the values of all ranks."""
        values = [value] * self.world
        if self.world > 1:
            dist.all_gather_object(values, value)
        return values

    def of_first(self, function: Callable[[], T]) -> T:
        """Call a function on the first rank only, and give its result to all ranks.

        If the function ends the program on the first rank, it ends on all ranks.
        """
        if self.world == 1:
            return function()
        told: list[Any] = [None, 1]  # the result, and the exit code if the function ended the run
        try:
            if self.first:
                told = [function(), None]
        except SystemExit as stop:
            told[1] = stop.code if isinstance(stop.code, int) else 1
            raise
        finally:
            dist.broadcast_object_list(told)
        result, code = told
        if code is not None:
            sys.exit(code)
        return cast(T, result)

    def quietly(self, context: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
        """Enter a context on the first rank only."""
        return context if self.first else nullcontext()


ALONE = Ranks()
"""A run of one process."""


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the other ranks, if ``torchrun`` or another program that sets its variables started this process.

    Examples:
        >>> with joined() as ranks:
        ...     ranks.world, ranks.first
        (1, True)
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    store, rank, world = next(rendezvous("env://"))
    ranks = Ranks(rank, world, int(os.environ.get("LOCAL_RANK", 0)), store)
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:  # each machine has its own count of restarts
        # The store survives a restart. It still holds the addresses of ranks that ended, and gloo would call them.
        attempt = f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
        store = dist.PrefixStore(attempt, store)  # type: ignore[attr-defined]
    if torch.cuda.is_available() and ranks.local < torch.cuda.device_count():
        torch.cuda.set_device(ranks.local)
    dist.init_process_group(store=store, rank=rank, world_size=world)  # gloo on CPUs, NCCL on GPUs
    yield ranks
    dist.destroy_process_group()  # not after an error: the other ranks may wait for this one for ever
