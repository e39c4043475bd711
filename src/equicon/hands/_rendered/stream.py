"""Synthetic hands without end, made on the device that trains on them."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

import torch
from torch.utils.data import IterableDataset, get_worker_info

from equicon._checks import check_int, plain_fields, value_error
from equicon.hands._rendered.domain import DomainName, find_domain
from equicon.hands._rendered.synthetic import render_hands
from equicon.hands._skeleton import Hand


@final
@dataclass(frozen=True)
class SyntheticHandStream(IterableDataset[Hand]):
    """An endless stream of batches of rendered hands.

    Batch k holds the samples ``first + k * batch_size`` and on of ``SyntheticHands`` of the same seed, size and domain,
    so a run that is resumed with the ``first`` it came to goes on with the hands it would have seen.

    A ``DataLoader`` with ``batch_size=None`` yields the same batches in the same order with any number of workers.
    Worker processes render on the CPU; on an accelerator iterate over the stream itself, or load without workers.

    Args:
        batch_size: Hands in a batch, at least 1.
        size: Height and width of the images in pixels, at least 8.
        seed: At least 0.
        domain: ``"wild"`` or ``"studio"``, as for ``SyntheticHands``.
        first: The first sample, at least 0.
        device: Where to render; the CPU when it is None.

    Raises:
        TypeError: An argument is not a whole number.
        ValueError: An argument is too small, the domain is not known, or a worker process is to render on an
            accelerator.

    Examples:
        >>> from torch.utils.data import DataLoader
        >>> stream = SyntheticHandStream(batch_size=16, size=64)
        >>> batch = next(iter(DataLoader(stream, batch_size=None)))
        >>> batch.image.shape
        torch.Size([16, 3, 64, 64])
    """

    batch_size: int
    size: int = 64
    seed: int = 0
    domain: DomainName = "wild"
    first: int = field(default=0, kw_only=True)
    device: torch.device | str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        plain_fields(self)
        check_int("batch_size", self.batch_size, low=1)
        check_int("size", self.size, low=8)
        check_int("seed", self.seed, low=0)
        find_domain(self.domain)
        check_int("first", self.first, low=0)

    def __iter__(self) -> Iterator[Hand]:
        worker, workers = 0, 1
        if (info := get_worker_info()) is not None:
            worker, workers = info.id, info.num_workers
            if self.device is not None and torch.device(self.device).type != "cpu":
                fix = "Load with num_workers=0, or render on the CPU: device=None."
                raise value_error("device", "the CPU in a worker process", str(self.device), fix)
        for batch in itertools.count(worker, workers):  # a DataLoader asks its workers in turn
            start = self.first + batch * self.batch_size
            indices = range(start, start + self.batch_size)
            yield render_hands(indices, self.size, self.seed, self.domain, device=self.device)
