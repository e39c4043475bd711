"""Random numbers that belong to a sample, not to a batch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")


class Draws:
    """Uniform random numbers for a batch of samples, each sample with streams of its own.

    A sample's numbers depend on (seed, index, stream) alone, so they are the same in any batch, order or worker
    process. They are float64 and live on the CPU, so they are also the same for every device.

    Args:
        seed: Seed of the data set, at least 0.
        indices: The samples of the batch.
        stream: Which of a sample's independent streams to read.
        count: How many numbers to have ready for each sample.
    """

    def __init__(self, seed: int, indices: Sequence[int], stream: int, count: int) -> None:
        numbers = np.empty((len(indices), count))
        for row, index in zip(numbers, indices, strict=True):
            # A spawn key, because entropy itself is padded with zeros: (s, i) and (s, i, 0) would be one stream.
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, stream))).random(out=row)
        self._numbers = torch.from_numpy(numbers)
        self._used = 0

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw from [low, high): (B, *shape)."""
        first, self._used = self._used, self._used + int(np.prod(shape))
        return low + (high - low) * self._numbers[:, first : self._used].reshape(-1, *shape)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Draw 1 with a probability, else 0: (B, *shape)."""
        return (self.uniform(0.0, 1.0, *shape) < probability).double()


def to_device(record: T, device: torch.device | str | None) -> T:
    """Move a dataclass of drawn tensors to a device, in float32."""

    def move(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(move(item) for item in value)
        return value.to(device, torch.float32 if value.is_floating_point() else value.dtype)

    return cast(T, replace(cast(Any, record), **{name: move(value) for name, value in vars(record).items()}))
