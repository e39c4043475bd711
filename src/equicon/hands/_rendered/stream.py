"""Synthetic hands without end, made on the device that trains on them."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from equicon._checks import check_int, plain_fields, value_error
from equicon._groups.affine import Affine
from equicon.hands._rendered.domain import DomainName
from equicon.hands._rendered.pictures import render_hands
from equicon.hands._rendered.settings import Settings, Side
from equicon.hands._skeleton import Hand


@final
@dataclass(frozen=True)
class SyntheticHandStream(IterableDataset[Hand]):
    """An endless stream of batches of rendered hands.

    Batch k holds samples of ``SyntheticHands`` with the same settings, from ``first + k * batch_size`` on. So a resumed
    run, whose ``first`` is the first sample not seen yet, continues with the hands that it would have seen.

    A ``DataLoader`` with ``batch_size=None`` yields the same batches in the same order with any number of workers.
    Worker processes render on the CPU; on an accelerator iterate over the stream itself, or load without workers.

    Args:
        batch_size: Hands in a batch, at least 1.
        size: Height and width of the hand's square in pixels, at least 8.
        seed: At least 0.
        domain: ``"wild"`` or ``"studio"``, as for ``SyntheticHands``. The next four arguments are as there, too.
        context: Width of the images divided by the width of the hand's square, at least 1.
        scenes: How many scenes the hands share, at least 1. With None, each has its own.
        clip: How many samples in a row show one hand in motion, at least 1.
        side: ``"left"``, ``"right"`` or ``"both"``.
        first: The first sample, at least 0.
        device: The device to render on; None takes the CPU.

    Raises:
        TypeError: If an argument is not a number, or not a whole number where it must be.
        ValueError: If an argument is too small, a name is not known, or a worker process is to render on an
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
    context: float = field(default=1.0, kw_only=True)
    scenes: int | None = field(default=None, kw_only=True)
    clip: int = field(default=1, kw_only=True)
    side: Side = field(default="both", kw_only=True)
    first: int = field(default=0, kw_only=True)
    device: torch.device | str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        plain_fields(self)
        check_int("batch_size", self.batch_size, low=1)
        check_int("first", self.first, low=0)
        self._settings()

    def _settings(self) -> Settings:
        return Settings(self.size, self.seed, self.domain, self.context, self.scenes, self.clip, self.side)

    def groups_of(self, indices: Iterable[int]) -> Tensor:
        """Return the scenes of samples: (B,) int64.

        The samples of batch k are ``range(first + k * batch_size, first + (k + 1) * batch_size)``. Sample i has the
        scene ``(i // clip) % scenes``, or ``i // clip`` without ``scenes``, as in ``SyntheticHands.groups``.

        Args:
            indices: Samples, each at least 0.
        """
        return self._settings().groups(indices)

    def frame(self, batch_size: int) -> Affine:
        """Make the frame that cuts the hand's square out of the images, on their device: see ``SyntheticHands``."""
        return self._settings().frame(batch_size, self.device)

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
            yield render_hands(indices, self._settings(), device=self.device)
