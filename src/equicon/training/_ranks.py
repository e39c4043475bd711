"""The processes of a run: one, or those that ``torchrun`` started, each of which takes its part of every batch."""

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
    """This process among those of the run.

    Args:
        rank: Its number, from 0.
        world: How many there are.
        local: Its number among those on this machine.
        store: Where ranks leave word for those that are started after them.

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
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """Give each rank of a machine a GPU of its own."""
        return f"cuda:{self.local}" if self.world > 1 and wanted.startswith("cuda") else wanted

    def begin(self, out: Path) -> None:
        """Leave word that this launch has begun its run, and in which folder."""
        if self.store is not None and self.first:
            self.store.set(BEGUN, str(out))

    @property
    def restarted(self) -> str:
        """The folder of the run that this launch had begun before a rank ended and all were started again, else ""."""
        return self.store.get(BEGUN).decode() if self.store is not None and self.store.check([BEGUN]) else ""

    def part(self, count: int) -> slice:
        """Take this rank's part of so many; the parts of two ranks differ by one at most."""
        return slice(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def any(self, value: bool) -> bool:
        """Say whether it holds on any rank, on all of them."""
        if self.world == 1:
            return value
        votes = torch.tensor(int(value), device="cpu")
        dist.all_reduce(votes)
        return bool(votes)

    def mean(self, values: Tensor) -> Tensor:
        """Give all ranks the mean of a tensor over them."""
        if self.world == 1:
            return values
        total = values.detach().clone()
        dist.all_reduce(total)
        return total / self.world

    def gather(self, value: T) -> list[T]:
        """Give every rank the values of all."""
        values = [value] * self.world
        if self.world > 1:
            dist.all_gather_object(values, value)
        return values

    def of_first(self, function: Callable[[], T]) -> T:
        """Call a function on the first rank and give all what it returns; if it ends the run there, end it on all."""
        if self.world == 1:
            return function()
        told: list[Any] = [None, 1]  # what it returned, and the code it ended the run with
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
    """Join the others where ``torchrun`` (or anything that sets its variables) started this process.

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
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:  # machines count their restarts apart
        # The store outlives a restart, and with it the addresses of ranks that have ended: gloo would call them.
        attempt = f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
        store = dist.PrefixStore(attempt, store)  # type: ignore[attr-defined]
    if torch.cuda.is_available() and ranks.local < torch.cuda.device_count():
        torch.cuda.set_device(ranks.local)
    dist.init_process_group(store=store, rank=rank, world_size=world)  # gloo for the CPU, and NCCL for GPUs
    yield ranks
    dist.destroy_process_group()  # not after an error: others may be waiting, and would wait on
