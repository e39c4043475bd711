"""Draws of parameters: where the generator lives, else on the CPU, so that every device sees the same ones."""

import math

import torch
from torch import Tensor

__all__ = ["bernoulli", "log_uniform", "uniform"]


def device_of(generator: torch.Generator | None) -> torch.device:
    """Tell where parameters are drawn."""
    return torch.device("cpu") if generator is None else generator.device


def uniform(batch_size: int, span: tuple[float, float], generator: torch.Generator | None) -> Tensor:
    """Draw (B,) from [low, high)."""
    low, high = span
    return low + (high - low) * _rand(batch_size, generator)


def log_uniform(batch_size: int, span: tuple[float, float], generator: torch.Generator | None) -> Tensor:
    """Draw (B,) from [low, high), evenly on a log scale; low is above 0."""
    low, high = span
    return uniform(batch_size, (math.log(low), math.log(high)), generator).exp()


def bernoulli(batch_size: int, p: float, generator: torch.Generator | None) -> Tensor:
    """Draw (B,) of type bool, True with probability p."""
    return _rand(batch_size, generator) < p


def _rand(batch_size: int, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        # Without the argument, not with None: that does not compile for a batch size that changes.
        return torch.rand(batch_size, device="cpu")
    return torch.rand(batch_size, generator=generator, device=generator.device)


def seed(generator: torch.Generator | None) -> int:
    """Draw a seed on the host without waiting for a device."""
    if generator is None or generator.device.type == "cpu":
        return int(torch.randint(2**62, (), generator=generator, device="cpu"))
    # A CUDA generator's seed and offset are kept on the host; reading a drawn number back would wait.
    offset = generator.get_offset()
    generator.set_offset(offset + 4)
    host = torch.Generator().manual_seed((generator.initial_seed() * 1_000_003 + offset) % 2**63)
    return int(torch.randint(2**62, (), generator=host))
