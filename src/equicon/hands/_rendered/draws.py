"""Random numbers that belong to a sample, not to a batch."""

import math
from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")

_GOLDEN = -7046029254386353131  # 2^64 divided by the golden ratio, odd, as a signed number


def table(values: Any) -> Tensor:
    """Make a tensor of known numbers, float64 on the CPU, whatever type and device torch has for defaults."""
    return torch.tensor(values, dtype=torch.float64, device="cpu")


def mix(x: Tensor) -> Tensor:
    """Scramble int64 numbers, one to one.

    The finalizer of SplitMix64 (Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014).
    """
    x = (x ^ (x >> 30 & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ (x >> 27 & 0x1FFFFFFFFF)) * -7723592293110705685
    return x ^ (x >> 31 & 0x1FFFFFFFF)


def sequence(keys: Tensor, count: int) -> Tensor:
    """Make ``count`` random int64 numbers of each key, those of SplitMix64 seeded with it: (B,) to (B, count)."""
    return mix(keys[:, None] + torch.arange(1, count + 1, device=keys.device) * _GOLDEN)


class Draws:
    """Uniform random numbers for a batch of samples: each row of numbers belongs to one of them.

    They are float64 and live on the CPU, so they are the same for every device.
    """

    def __init__(self, numbers: Tensor) -> None:
        self._numbers = numbers
        self._used = 0

    @classmethod
    def of(cls, seed: int, indices: Sequence[int], stream: int, count: int) -> "Draws":
        """Have ``count`` numbers ready for each sample.

        A sample's numbers depend on (seed, index, stream) alone, so they are the same in any batch, order or worker
        process, and those of two streams have nothing in common.
        """
        start = np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(1, np.uint64).view(np.int64)
        keys = mix(torch.tensor(indices, dtype=torch.int64, device="cpu") * _GOLDEN + torch.from_numpy(start))
        return cls((sequence(keys, count) >> 11 & (2**53 - 1)).double() * 2.0**-53)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw from [low, high): (B, *shape)."""
        return low + (high - low) * self._take(math.prod(shape)).reshape(-1, *shape)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Draw 1 with a probability, else 0: (B, *shape)."""
        return (self.uniform(0.0, 1.0, *shape) < probability).double()

    def pick(self, table: Tensor, *shape: int) -> Tensor:
        """Draw rows of a table (n, ...): (B, *shape, ...)."""
        return table[self.uniform(0.0, len(table), *shape).long()]

    def seed(self) -> Tensor:
        """Draw a seed for ``sequence``: (B,) int64."""
        return self.uniform(0.0, 2.0**52).long()

    def tries(self, times: int, count: int) -> "Draws":
        """Set ``times`` independent tries of each sample aside, with ``count`` numbers each: draws for B · times."""
        return Draws(self._take(times * count).reshape(-1, count))

    def _take(self, count: int) -> Tensor:
        first, self._used = self._used, self._used + count
        return self._numbers[:, first : self._used]


def to_device(record: T, device: torch.device | str | None) -> T:
    """Move the tensors of a dataclass, and of those in it, to a device, in float32; what else it holds stays."""

    def move(value: Any) -> Any:
        if is_dataclass(value):
            return to_device(value, device)
        if isinstance(value, torch.Tensor):
            return value.to(device, torch.float32 if value.is_floating_point() else value.dtype)
        return value

    return cast(T, replace(cast(Any, record), **{name: move(value) for name, value in vars(record).items()}))
