"""Random numbers that belong to a sample, not to a batch."""

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")

_GOLDEN = -7046029254386353131  # 2^64 divided by the golden ratio, odd, as a signed number


def table(values: Any) -> Tensor:
    """Make a tensor of known numbers, float64 on the CPU, whatever torch's default type and device are."""
    return torch.tensor(values, dtype=torch.float64, device="cpu")


def mix(x: Tensor) -> Tensor:
    """Scramble int64 numbers, one to one.

    The finalizer of SplitMix64 (Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014).
    """
    x = (x ^ (x >> 30 & 0x3FFFFFFFF)) * -4658895280553007687
    x = (x ^ (x >> 27 & 0x1FFFFFFFFF)) * -7723592293110705685
    return x ^ (x >> 31 & 0x1FFFFFFFF)


def sequence(keys: Tensor, count: int) -> Tensor:
    """Make ``count`` random int64 numbers from each key, by SplitMix64 seeded with it: (B,) to (B, count)."""
    return mix(keys[:, None] + torch.arange(1, count + 1, device=keys.device) * _GOLDEN)


class Draws:
    """Uniform random numbers for a batch of samples: each row of numbers belongs to one of them.

    They are float64 on the CPU, so they are the same for every device. The numbers of ``scene`` belong to the scene of
    a sample, which other samples share. Without scenes, they are the sample's own.
    """

    def __init__(self, numbers: Tensor, shared: Tensor | None = None, drift: Tensor | None = None) -> None:
        self._numbers = numbers
        self._shared = shared
        self._drift = drift
        self._used = [0]  # one count for a sample's own numbers and those of its scene

    @classmethod
    def of(
        cls, seed: int, indices: Sequence[int], stream: int, count: int, scenes: Sequence[int] | None = None
    ) -> "Draws":
        """Make ``count`` numbers for each sample.

        A sample's numbers depend on (seed, index, stream) alone. So they are the same in any batch, order or worker
        process, and the numbers of two streams are independent. The numbers of its scene depend on (seed, scene,
        stream).
        """
        start = np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(1, np.uint64).view(np.int64)

        def numbers(of: Sequence[int]) -> Tensor:
            keys = mix(torch.tensor(of, dtype=torch.int64, device="cpu") * _GOLDEN + torch.from_numpy(start))
            return (sequence(keys, count) >> 11 & (2**53 - 1)).double() * 2.0**-53

        return cls(numbers(indices), None if scenes is None else numbers(scenes))

    @property
    def scene(self) -> "Draws":
        """The same draws, but from the numbers that all samples of a scene share."""
        shared = copy(self)
        shared._numbers = self._numbers if self._shared is None else self._shared
        shared._drift = None
        return shared

    def moving(self, velocity: Tensor, frames: int) -> "Draws":
        """Make draws for ``frames`` frames of each sample: draws for B · frames, whose numbers move.

        A number moves by its velocity (B, count) from frame to frame, and turns back at 0 and at 1. If as many
        velocities are negative as positive, numbers are distributed as evenly in every frame as in the first. The
        numbers of a scene, and choices that have no values in between, stay as in the first frame.
        """
        drift = velocity[:, None] * torch.arange(frames, dtype=velocity.dtype, device="cpu")[:, None]
        own = self._numbers.repeat_interleave(frames, 0)
        shared = None if self._shared is None else self._shared.repeat_interleave(frames, 0)
        return Draws(own, shared, drift.flatten(0, 1))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw from [low, high): ``(B, *shape)``."""
        return low + (high - low) * self._take(math.prod(shape)).reshape(-1, *shape)

    def angle(self) -> Tensor:
        """Draw a direction from [-π, π): (B,). A direction that moves goes on past π."""
        return -math.pi + 2 * math.pi * self._take(1, fold=False)[:, 0]

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Draw 1 with a probability, else 0: ``(B, *shape)``."""
        return (self._held(math.prod(shape)).reshape(-1, *shape) < probability).double()

    def pick(self, table: Tensor, *shape: int) -> Tensor:
        """Draw rows of a table (n, ...): ``(B, *shape, ...)``."""
        return table[(len(table) * self._held(math.prod(shape)).reshape(-1, *shape)).long()]

    def seed(self) -> Tensor:
        """Draw a seed for ``sequence``: (B,) int64."""
        return (2.0**52 * self._held(1)[:, 0]).long()

    def tries(self, times: int, count: int) -> "Draws":
        """Reserve ``count`` numbers for each of ``times`` independent tries of each sample: draws for B · times.

        All tries have the scene's numbers of the first try, so that the scene does not depend on the try that is taken.
        """
        at = self._next(times * count)
        shared = None if self._shared is None else self._shared[:, at][:, :count].repeat_interleave(times, 0)
        drift = None if self._drift is None else self._drift[:, at].reshape(-1, count)
        return Draws(self._numbers[:, at].reshape(-1, count), shared, drift)

    def _take(self, count: int, *, fold: bool = True) -> Tensor:
        at = self._next(count)
        numbers = self._numbers[:, at]
        if self._drift is None:
            return numbers
        numbers = numbers + self._drift[:, at]
        return 1.0 - (1.0 - numbers.remainder(2.0)).abs() if fold else numbers

    def _held(self, count: int) -> Tensor:
        return self._numbers[:, self._next(count)]

    def _next(self, count: int) -> slice:
        first = self._used[0]
        self._used[0] += count
        return slice(first, first + count)


def select(record: T, rows: Tensor) -> T:
    """Select rows of all tensors of a dataclass, and of the dataclasses in it."""
    return _each_tensor(record, lambda value: value[rows])


def to_device(record: T, device: torch.device | str | None) -> T:
    """Move the tensors of a dataclass, and of dataclasses in it, to a device, floating ones as float32."""
    return _each_tensor(
        record, lambda value: value.to(device, torch.float32 if value.is_floating_point() else value.dtype)
    )


def _each_tensor(record: T, change: Callable[[Tensor], Tensor]) -> T:
    def visit(value: Any) -> Any:
        if is_dataclass(value):
            return _each_tensor(value, change)
        return change(value) if isinstance(value, torch.Tensor) else value

    return cast(T, replace(cast(Any, record), **{name: visit(value) for name, value in vars(record).items()}))
