"""Random parameters for transforms: numbers (B,) on the device of the generator, or on the CPU without a generator.

So one CPU generator gives the same numbers for every device, and nothing waits for a device. The ``_draw`` of your own
transform calls these functions.
"""

import math

import torch
from torch import Tensor

from equicon._checks import (
    check_factor,
    check_generator,
    check_int,
    check_probability,
    check_range,
    value_error,
)

__all__ = ["bernoulli", "device_of", "integers", "log_uniform", "uniform"]

_LARGEST = 1e38  # the difference of two such numbers, and 1 over one of them, fit in float32


def device_of(generator: torch.Generator | None) -> torch.device:
    """Return the device where parameters are drawn: the generator's, or the CPU if there is no generator.

    Examples:
        >>> draw.device_of(None)
        device(type='cpu')
    """
    check_generator(generator)
    return torch.device("cpu") if generator is None else generator.device


def uniform(batch_size: int, low: float, high: float, generator: torch.Generator | None = None) -> Tensor:
    """Draw numbers (B,), float32, uniformly from [low, high). Rounding to float32 may give ``high`` itself.

    Args:
        batch_size: How many numbers to draw.
        low: Lower end of the range, in [-1e38, 1e38].
        high: Upper end of the range, in [low, 1e38].
        generator: Source of randomness; None takes torch's global CPU generator.

    Examples:
        >>> degrees = draw.uniform(8, -45, 45, torch.Generator().manual_seed(0))
        >>> bool((degrees.abs() <= 45).all())
        True
    """
    batch_size = check_int("batch_size", batch_size, low=0)
    low, high = check_range("low, high", (low, high), low=-_LARGEST, high=_LARGEST)
    return low + (high - low) * _rand(batch_size, generator)


def log_uniform(batch_size: int, low: float, high: float, generator: torch.Generator | None = None) -> Tensor:
    """Draw numbers (B,), float32, from [low, high), uniformly on a log scale.

    Args:
        batch_size: How many numbers to draw.
        low: Lower end of the range, in [1e-38, 1e38].
        high: Upper end of the range, in [low, 1e38].
        generator: Source of randomness; None takes torch's global CPU generator.

    Examples:
        >>> factors = draw.log_uniform(8, 1 / 2, 2)
        >>> bool(((factors >= 0.5) & (factors <= 2)).all())
        True
    """
    low = check_factor("low", low, low=1 / _LARGEST, high=_LARGEST)
    high = check_factor("high", high, low=1 / _LARGEST, high=_LARGEST)
    return uniform(batch_size, math.log(low), math.log(high), generator).exp()


def bernoulli(batch_size: int, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Draw values (B,) of type bool that are True with probability p.

    Args:
        batch_size: How many values to draw.
        p: The probability, in [0, 1].
        generator: Source of randomness; None takes torch's global CPU generator.

    Examples:
        >>> draw.bernoulli(3, 1.0)
        tensor([True, True, True])
    """
    batch_size = check_int("batch_size", batch_size, low=0)
    return _rand(batch_size, generator) < check_probability("p", p)


def integers(batch_size: int, low: int, high: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw whole numbers (B,), int64, uniformly from [low, high).

    Args:
        batch_size: How many numbers to draw.
        low: The lowest number, at least −2⁶³.
        high: End of the range, above ``low`` and below 2⁶³. It is not drawn itself.
        generator: Source of randomness; None takes torch's global CPU generator.

    Examples:
        >>> quarters = draw.integers(8, 0, 4)
        >>> bool(((quarters >= 0) & (quarters < 4)).all())
        True
    """
    batch_size = check_int("batch_size", batch_size, low=0)
    low = check_int("low", low, low=-(2**63))
    high = check_int("high", high, low=low + 1)
    if high >= 2**63:
        raise value_error("high", "a whole number below 2⁶³", high)
    check_generator(generator)
    if generator is None:
        return torch.randint(low, high, (batch_size,), device="cpu")
    return torch.randint(low, high, (batch_size,), generator=generator, device=generator.device)


def _rand(batch_size: int, generator: torch.Generator | None) -> Tensor:
    check_generator(generator)
    if generator is None:
        # The argument is left out: generator=None does not compile for a batch size that changes.
        return torch.rand(batch_size, dtype=torch.float32, device="cpu")
    return torch.rand(batch_size, generator=generator, dtype=torch.float32, device=generator.device)


def _seed_on_host(generator: torch.Generator | None) -> int:
    """Draw a seed on the host without waiting for a device."""
    if generator is None or generator.device.type == "cpu":
        return int(torch.randint(2**62, (), generator=generator, device="cpu"))
    # A CUDA generator's seed and offset are kept on the host; reading a drawn number back would wait.
    offset = generator.get_offset()
    generator.set_offset(offset + 4)
    host = torch.Generator("cpu").manual_seed((generator.initial_seed() * 1_000_003 + offset) % 2**63)
    return int(torch.randint(2**62, (), generator=host, device="cpu"))
